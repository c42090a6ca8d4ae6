"""A rank that dies at any moment: all end soon, and say which; the same command goes on from there."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import luthier
from ranking import recipe_for, torchrun

TIMES = 10


def children(of: int) -> list[int]:
    """Processes that one has started."""
    told = subprocess.run(["pgrep", "-P", str(of)], capture_output=True, text=True, check=False).stdout
    return [int(pid) for pid in told.split()]


def lines(folder: Path) -> list[float]:
    """Losses so far."""
    path = folder / "metrics.jsonl"
    whole = path.read_text("utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line)["loss"] for line in whole]


@pytest.mark.slow
def test_ten_kills_change_nothing(tiny_folder: object, tmp_path: Path) -> None:
    """Losses and scores are those of a run that nobody killed."""
    recipe = recipe_for(tiny_folder("llama_tied"), tmp_path, checkpoint_seconds=0.0, tokens=20_000)  # type: ignore[operator]
    whole = torchrun(2, "train", str(recipe), "--out", "whole", folder=tmp_path)
    assert whole.returncode == 0, whole.stderr[-2000:]
    chance, killed = random.Random(3), 0
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(luthier.__file__).parents[1])}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "luthier"]
    while killed < TIMES:
        before = len(lines(tmp_path / "killed"))
        with subprocess.Popen(
            [*command, "train", str(recipe), "--out", "killed"],
            cwd=tmp_path,
            env=env,
            stderr=subprocess.PIPE,
            text=True,
        ) as run:
            moment = time.monotonic() + chance.uniform(0, 2)
            more = chance.randint(0, 12)
            while run.poll() is None and (len(lines(tmp_path / "killed")) < before + more or time.monotonic() < moment):
                time.sleep(0.02)
            if run.poll() is not None:
                break  # it was done before
            rank = chance.randint(0, 1)
            if len(found := children(run.pid)) < 2:
                run.kill()
                continue
            os.kill(found[rank], signal.SIGKILL)
            began = time.monotonic()
            _, said = run.communicate(timeout=60)
            assert time.monotonic() - began < 30 and run.returncode != 0
            assert f"local_rank: {rank}" in said and "SIGKILL" in said, said[-2000:]
            killed += 1
    done = torchrun(2, "train", str(recipe), "--out", "killed", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert killed >= 5, "the run is too short for so many kills"
    assert lines(tmp_path / "killed") == lines(tmp_path / "whole")
    results = [json.loads((tmp_path / name / "eval.json").read_text()) for name in ("whole", "killed")]
    assert results[0]["score"] == results[1]["score"] and results[0]["per_row"] == results[1]["per_row"]
