"""What a user does, through the command line, on a tiny model: bad file, compare, predict, train again, Python."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import luthier
import tiny
from kinds import labelled_rows
from luthier.io.files import read_json

BROKEN = ['{"text": "no label here"}', "not json at all", '{"text": "   ", "label": "joy"}', '["a", "list"]',
          '{"text": 12.5, "label": "joy"}']  # fmt: skip


def luthier_command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would."""
    command = [sys.executable, "-m", "luthier", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty-odd good rows with five broken ones among them."""
    known = labelled_rows(tiny.LABELLED.train)
    rows = [json.dumps({"text": f"{r.text} ({i})", "label": r.label}) for i in range(3) for r in known]
    for at, line in zip((2, 5, 9, 12, 17), BROKEN, strict=True):
        rows.insert(at, line)
    path = tmp_path_factory.mktemp("data") / "mine.jsonl"
    path.write_text("\n".join(rows) + "\n")
    return path


def compare(data: Path, model: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """A quick comparison of three methods."""
    methods = ("--methods", "zero_shot,head,lora", "--budget", "1500-tokens")
    return luthier_command("compare", data, "--model", model, *methods, "--out", out, *more)


def test_each_broken_row_is_named_by_line(data: Path, tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    done = compare(data, tiny_folder("llama_tied"), tmp_path / "out")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for line in (3, 6, 10, 13, 18):
        assert f"mine.jsonl:{line}:" in done.stderr


def test_the_whole_way(data: Path, tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = compare(data, tiny_folder("llama_tied"), out, "--skip-bad")
    assert done.returncode == 0, done.stderr
    board = read_json(out / "leaderboard.json")
    assert {row["status"] for row in board["rows"]} == {"ok"}
    assert len((out / "rejected.jsonl").read_text().splitlines()) == 5
    said = f"Use none of these yet: {board['best']} has the best score measured"
    assert board["recommendation"]["kind"] in ("level", "below"), "five test rows tell nothing from the commonest label"
    assert said in done.stdout.replace("\n", " ")
    held = (out / "test_rows.jsonl").read_text("utf-8").splitlines()
    evaluation = read_json(out / "trials" / "lora" / "seed-0" / "eval.json")
    assert len(held) == len(evaluation["answers"]) and json.loads(held[0]).keys() == {"asked", "wanted", "labels"}
    assert 'id="answers"' in (out / "report.html").read_text("utf-8")
    assert f"`{board['best']}` (this model)" in (out / "MODEL_CARD.md").read_text("utf-8")

    again = compare(data, tiny_folder("llama_tied"), out, "--skip-bad")
    assert again.returncode == 0
    assert read_json(out / "leaderboard.json") == board, "a finished comparison is read, not run again"
    other = compare(data, tiny_folder("llama_tied"), out, "--skip-bad", "--seeds", "2")
    assert other.returncode == 2
    assert "another comparison" in other.stderr

    new = tmp_path / "new.csv"
    new.write_text('text,id\n"hello, you",7\n今天天气很好,8\n')
    run = out / "trials" / "lora" / "seed-0"
    done = luthier_command("predict", run, new, "--out", tmp_path / "labelled.csv")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "labelled.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["id"] for r in rows] == ["7", "8"]
    texts = ["hello, you", "今天天气很好"]
    assert luthier.load(run).predict(texts) == [r["prediction"] for r in rows]

    done = luthier_command("train", run / "recipe.yaml", "training.tokens=400", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert read_json(tmp_path / "run" / "eval.json")["metric"] == "accuracy"
