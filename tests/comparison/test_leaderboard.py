"""Results as data: the schema, names that are beginnings of each other, boards of earlier versions."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import luthier
from finished import comparison, evaluation
from luthier.comparison import leaderboard
from luthier.comparison.board import gather
from luthier.comparison.leaderboard import Recommendation, Row, Verdict, as_json, read_board, verdicts_of
from luthier.comparison.trial_list import Trial
from luthier.comparison.verdicts import judge, recommend
from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase
from luthier.evals.bootstrap import Bootstrap
from luthier.io.files import write_json
from luthier.reports.comparison import sentences
from luthier.reports.comparison.publish import publish
from luthier.reports.comparison.terminal import print_leaderboard

GOOD, POOR = [1.0] * 38 + [0.0] * 2, [1.0] * 10 + [0.0] * 30


def board_of(scores: dict[str, tuple[str, str, list[float]]]) -> dict[str, Any]:
    """A board of rows by name: method, model, scores."""
    bootstrap = Bootstrap({name: [per_row] for name, (_, _, per_row) in scores.items()})
    rows = []
    for name, (method, model, _) in scores.items():
        found = bootstrap.score(name)
        row = Row(name, method, model, "ok", score=found.value, ci95=(found.low, found.high), train_seconds=1.0)
        rows.append(as_json(row))
    rows.sort(key=lambda row: -row["score"])
    verdicts = judge(rows, bootstrap, None)
    return {"schema": 2, "metric": "accuracy", "task": "classification", "rows": rows, "best": rows[0]["name"],
            "verdicts": list(map(as_json, verdicts)), "recommendation": as_json(recommend(rows, verdicts, None, Path)),
            "tied": [v.a for v in verdicts if v.against == "best" and v.kind == "tied"]}  # fmt: skip


def test_a_name_that_begins_another_is_not_that_other() -> None:
    """Seen failing when marks were read off sentences: `llama3` took the tie of `llama3:8b`."""
    board = board_of({
        "few_shot on llama3": ("few_shot", "llama3", POOR),
        "few_shot on llama3:8b": ("few_shot", "llama3:8b", [*GOOD[1:], 0.0]),
        "lora on llama3:8b": ("lora", "llama3:8b", GOOD),
    })  # fmt: skip
    tied = [v["a"] for v in board["verdicts"] if v["kind"] == "tied"]
    assert tied == ["few_shot on llama3:8b"]
    out = StringIO()
    print_leaderboard(board, Console(file=out, width=400), {"tied": board["tied"]})
    marked = [line for line in out.getvalue().splitlines() if line.startswith("few_shot")]
    assert ["not distinguishable" in line for line in marked] == [True, False]


def test_verdicts_are_data_and_every_finished_row_has_one_against_the_untuned_model(tmp_path: Path) -> None:
    trials = {"zero_shot": [evaluation(POOR)], "lora": [evaluation(GOOD)], "majority": [evaluation(POOR[::-1])]}
    folder = comparison(tmp_path / "out", trials)
    publish(folder)
    board = json.loads((folder / "leaderboard.json").read_text(encoding="utf-8"))
    assert board["schema"] == 2 and [row["name"] for row in board["rows"]] == ["lora", "zero_shot", "majority"]
    for verdict in board["verdicts"]:
        assert {"kind", "a", "b", "interval"} <= set(verdict) and len(verdict["interval"]) == 2
        assert verdict["kind"] in ("better", "worse", "tied", "unsure")
    against = {(v["a"], v["b"]): v["kind"] for v in board["verdicts"] if v["against"] == "untuned"}
    assert against == {("lora", "zero_shot"): "better", ("majority", "zero_shot"): "tied"}
    assert verdicts_of(board) == [Verdict(**{**v, "interval": tuple(v["interval"])}) for v in board["verdicts"]]
    assert board["recommendation"]["name"] == "lora" and board["recommendation"]["command"].startswith("luthier pred")
    assert not any(isinstance(value, str) and " " in value for v in board["verdicts"] for value in v.values())


@pytest.mark.parametrize("kind", ["use", "untuned", "cheaper", "constant", "level", "below", "none"])
def test_every_recommendation_is_said_in_both_languages(kind: Any) -> None:
    found = Recommendation(kind, "lora", "features", 0.5, (0.25, 0.75), (1.0, 90.0), "luthier predict x")
    board = {"metric": "accuracy", "rows": [], "recommendation": as_json(found),
             "constant": {"kind": "label", "answer": "差评"}}  # fmt: skip
    said = sentences.recommendation(board)
    assert isinstance(said, Phrase) and said.text("zh") != said and "{" not in said + said.text("zh")
    if kind != "none":
        assert "50.0 accuracy (95 % interval 25.0 to 75.0)" in said and "准确率" in said.text("zh")


def test_a_board_of_schema_1_is_still_read(tmp_path: Path) -> None:
    """As it was written: verdicts are sentences, the best a method, on one of several models."""
    rows = [{"method": "lora", "model": m, "name": f"lora on {m}", "status": "ok", "score": s, "ci95": [0.1, 0.9],
             "train_seconds": 3.0, "seeds": 1} for m, s in (("llama3:8b", 0.75), ("llama3", 0.5))]  # fmt: skip
    old = {"task": "classification", "metric": "accuracy", "model": "llama3, llama3:8b", "rows": rows, "best": "lora",
           "best_model": "llama3:8b", "recommendation": "Use lora on llama3:8b.", "verdicts": ["lora is nice."],
           "curve": {"sentence": "64 rows.", "methods": [], "sizes": [64]}}  # fmt: skip
    write_json(tmp_path / "leaderboard.json", old)
    board = luthier.open(tmp_path)
    assert board.best is not None and board.best.name == board["best"] == "lora on llama3:8b"
    assert board.verdicts == ["lora is nice.", "Use lora on llama3:8b."] and board.recommendation == ""
    out = StringIO()
    print_leaderboard(board, Console(file=out, width=300), {})
    assert "lora is nice." in out.getvalue() and "64 rows." in out.getvalue()
    write_json(tmp_path / "leaderboard.json", {**old, "rows": rows[:1], "schema": 3})
    with pytest.raises(LuthierError, match=r"leaderboard\.json: written by a newer version \(schema 3"):
        read_board(tmp_path)


def test_what_is_published_is_what_is_read(tmp_path: Path) -> None:
    folder = comparison(tmp_path / "out", {"lora": [evaluation(GOOD)], "zero_shot": [evaluation(POOR)]})
    board, _ = publish(folder)
    assert read_board(folder) == board == gather(folder)[0] and board["schema"] == leaderboard.SCHEMA
    assert Trial("m", "lora", None, "lora").place == "lora"
