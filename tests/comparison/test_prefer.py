"""`--prefer`: which of the rows that cannot be told from the best is recommended, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import luthier
from finished import comparison, evaluation
from luthier.comparison.board import command_of
from luthier.comparison.plan import Request, begin, make_request, read_request
from luthier.core.errors import LuthierError
from luthier.io.config import DataConfig
from luthier.io.files import read_json
from luthier.reports.comparison import sentences
from luthier.reports.comparison.publish import publish

GOOD, TIED = [1.0] * 38 + [0.0] * 2, [0.0] + [1.0] * 37 + [0.0] * 2
POOR = [1.0] * 10 + [0.0] * 30
TRIALS: dict[str, Any] = {
    "full": [evaluation(GOOD, train_seconds=400.0, artifact_bytes=9_000_000, latency_ms=20.0)],
    "lora": [evaluation(TIED, train_seconds=90.0, artifact_bytes=4_000, latency_ms=21.0, search_seconds=30.0)],
    "features": [evaluation(TIED, train_seconds=100.0, artifact_bytes=60_000, latency_ms=4.0)],
    "head": [evaluation(POOR, train_seconds=1.0, artifact_bytes=10, latency_ms=1.0)],
}


def preferring(prefer: Any, folder: Path) -> dict[str, Any]:
    """The same finished comparison, asked with another preference."""
    if not folder.exists():
        comparison(folder, TRIALS)
    begin(replace(read_request(folder), prefer=prefer), folder)
    return publish(folder)[0]


@pytest.mark.parametrize(
    ("prefer", "name", "why", "zh"),
    [
        ("cost", "features", "takes 1 m 40 s instead of 6 m 40 s to make", "制作只需 1 m 40 s，不是 6 m 40 s"),
        ("size", "lora", "has 4 kB instead of 9 MB to ship", "交付的文件只有 4 kB，不是 9 MB"),
        ("latency", "features", "takes 4.0 ms instead of 20 ms for an answer", "回答一次只需 4.0 ms，不是 20 ms"),
    ],
)
def test_what_takes_least_of_those_that_cannot_be_told_apart(
    prefer: str, name: str, why: str, zh: str, tmp_path: Path
) -> None:
    """The fastest of all is `head`, which is clearly behind; the search for a learning rate is part of the cost."""
    board = preferring(prefer, tmp_path / "out")
    said = sentences.recommendation(board)
    assert board["best"] == "full" and board["recommendation"]["name"] == name
    assert said is not None and said.startswith(f"Use {name}: 92.5 accuracy (95 % interval ")
    assert f"; it cannot be told from full, the best score measured, and {why}." in said and zh in said.text("zh")
    assert f"/trials/{name}/seed-0" in sentences.go_on(board)
    assert sentences.recommended(board)["name"] == name  # type: ignore[index]


def test_quality_names_the_cheaper_one_and_recommends_the_best(tmp_path: Path) -> None:
    board = preferring("quality", tmp_path / "out")
    assert board["recommendation"]["kind"] == "cheaper" and board["recommendation"]["name"] == "full"
    assert board["recommendation"]["other"] == "lora"


def test_the_best_is_recommended_where_nothing_takes_less(tmp_path: Path) -> None:
    trials = {"lora": [evaluation(GOOD, latency_ms=3.0)], "head": [evaluation(TIED, latency_ms=5.0)],
              "layers": [evaluation(TIED, latency_ms=None)]}  # fmt: skip
    folder = comparison(tmp_path / "out", trials)
    assert preferring("latency", folder)["recommendation"]["kind"] == "use"


def test_nothing_that_is_no_better_than_the_constant_answer_is_preferred(tmp_path: Path) -> None:
    close = [1.0] * 33 + [0.0] * 7
    trials = {"lora": [evaluation(GOOD, train_seconds=50.0)], "head": [evaluation(close, train_seconds=2.0)]}
    folder = comparison(tmp_path / "out", trials)
    per_row = [1.0] * 27 + [0.0] * 13
    (folder / "floor.json").write_text(json.dumps({"answer": "refund", "per_row": per_row}), encoding="utf-8")
    board = preferring("cost", folder)
    kinds = {(v["a"], v["against"]): v["kind"] for v in board["verdicts"]}
    assert kinds["lora", "constant"] == "better" and kinds["head", "constant"] != "better"
    assert board["recommendation"]["name"] == "lora"


def test_it_makes_no_other_comparison() -> None:
    plain = Request(DataConfig("mine.jsonl"), methods=("lora",), budget="3m")
    asked = replace(plain, prefer="latency")
    assert asked.key == plain.key and asked == plain
    assert "--prefer" not in command_of(plain) and command_of(asked).endswith("--prefer latency")
    assert make_request({"path": "mine.jsonl"}, methods=["lora"], prefer="size").prefer == "size"
    with pytest.raises(LuthierError, match="--prefer sise: one of quality, cost, size, latency, did you mean size"):
        make_request({"path": "mine.jsonl"}, methods=["lora"], prefer="sise")


def test_a_score_by_label_decides_and_another_preference_runs_nothing(
    data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path]
) -> None:
    """Macro-F1 from the call to the board: what rows contribute is kept with the runs and the constant answer."""
    out = tmp_path / "out"
    asked: dict[str, Any] = {"methods": "zero_shot,features,majority", "budget": "3000-tokens", "threads": 1}
    asked |= {"model": str(tiny_folder("llama_tied")), "metric": "macro_f1"}
    board = luthier.compare(data, out=out, **asked)
    run = read_json(out / "trials/features/seed-0/eval.json")
    assert board["metric"] == run["metric"] == "macro_f1" and board["lopsided"] is None
    assert len(run["codes"]) == len(run["per_row"]) and "accuracy" in run["secondary"]
    assert len(read_json(out / "floor.json")["codes"]) == len(run["codes"])
    assert "--metric macro_f1" in (out / "report.html").read_text(encoding="utf-8")
    before = {path: path.stat().st_mtime_ns for path in out.glob("trials/*/seed-0/eval.json")}
    again = luthier.compare(data, out=out, **asked, prefer="latency")
    assert before == {path: path.stat().st_mtime_ns for path in out.glob("trials/*/seed-0/eval.json")}
    assert read_request(out).prefer == "latency" and again["rows"] == board["rows"]
