"""A comparison killed with SIGKILL at random moments, each time started again, gives the scores of an unbroken run.

The whole process group is killed, as a closed terminal or an out-of-memory killer would. Planted bug that it caught: a
loop that did not restore the optimiser's moments on resume.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from luthier.io.files import read_json

METHODS = "zero_shot,few_shot,head,lora,soft_prompt"


def command(out: Path, model: str) -> list[str]:
    """The same request every time; small enough for a test, long enough to be hit in the middle of trials."""
    models = [part for name in model.split(",") for part in ("--model", name)]
    curve = ["--curve", "12,24"] if "," in model else []
    return [
        sys.executable, "-m", "luthier", "compare", "--limit", "60", "--budget", "900-tokens", *models, *curve,
        "--methods", METHODS, "--out", str(out),
    ]  # fmt: skip


def run(out: Path, model: str, kill_after: float | None = None) -> bool:
    """Start it; True when it came to its end before the kill."""
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command(out, model), start_new_session=True, env=env, stdout=subprocess.DEVNULL) as process:
        try:
            assert process.wait(kill_after) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return False
    return True


def scores(out: Path) -> dict[str, object]:
    """Everything of a finished comparison that is not a measured time or size."""
    kept = ("status", "score", "ci95", "trainable", "forgetting", "learning_rate")
    rows = read_json(out / "leaderboard.json")["rows"]
    board = {(row["method"], row["model"]): {k: row[k] for k in kept} for row in rows}
    answers = {str(p.relative_to(out)): read_json(p)["answers"] for p in out.glob("trials/**/seed-*/eval.json")}
    return {"board": board, "answers": answers}


def survives(tmp_path: Path, model: str, kills: int, seed: int = 0) -> list[float]:
    """Compare an unbroken run with one that is killed this often; gives the moments of the kills."""
    start = time.monotonic()
    assert run(tmp_path / "unbroken", model)
    whole = time.monotonic() - start
    rng = random.Random(seed)
    moments: list[float] = []
    expected = scores(tmp_path / "unbroken")
    for round_ in range(kills):  # a run that comes to its end before the last kill is compared and begun anew
        out = tmp_path / f"killed-{round_}"
        finished = False
        while not finished and len(moments) < kills:
            after = rng.uniform(0.05, 0.35) * whole
            finished = run(out, model, after)
            if not finished:
                moments.append(round(after, 1))
        assert finished or run(out, model)
        assert scores(out) == expected
        if len(moments) == kills:
            break
    return moments


@pytest.mark.slow
def test_two_kills_on_a_tiny_model(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    assert len(survives(tmp_path, str(tiny_folder("llama_tied")), 2)) == 2


@pytest.mark.slow
def test_kills_with_two_models_and_a_curve(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    models = ",".join(str(tiny_folder(kind)) for kind in ("llama_tied", "llama_untied"))
    assert len(survives(tmp_path, models, 4)) == 4


@pytest.mark.slow
def test_ten_kills_on_the_embedded_model(tmp_path: Path) -> None:
    assert len(survives(tmp_path, "embedded", 10)) == 10
