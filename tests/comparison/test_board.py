"""From finished trials to the leaderboard: its schema, rows that failed, sentences, and damaged files."""

from __future__ import annotations

import json
import shlex
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from finished import REASON, comparison, evaluation
from luthier.comparison import board as board_module
from luthier.comparison.board import command_of, gather
from luthier.comparison.plan import Request
from luthier.core.errors import LuthierError
from luthier.core.phrases import remember, say
from luthier.io.config import DataConfig
from luthier.io.files import read_json
from luthier.reports.comparison import charts, sections
from luthier.reports.comparison import publish as shown
from luthier.reports.comparison.publish import curves, publish
from luthier.reports.comparison.sentences import last_line, verdicts
from luthier.reports.comparison.terminal import print_leaderboard

BOARD = ["schema", "task", "metric", "model", "models", "budget", "rows", "best", "constant", "verdicts",
         "recommendation", "winner", "lopsided", "answer", "spent"]  # fmt: skip
ROW = ["name", "method", "model", "status", "reason", "score", "ci95", "seeds", "trainable", "trainable_share",
       "train_seconds", "peak_memory_bytes", "artifact_bytes", "latency_ms", "forgetting", "mergeable", "learning_rate",
       "base_bytes", "tuned", "steps", "batch", "train_cpu_seconds", "search_seconds", "search_cpu_seconds",
       "answer_seconds", "answer_cpu_seconds", "wins", "wins_ci95", "kl", "kl_ci95", "reply_tokens"]  # fmt: skip
GOOD, POOR = [1.0] * 38 + [0.0] * 2, [1.0] * 10 + [0.0] * 30
ZERO = {"train_seconds": 0.0, "trainable": 0, "learning_rate": None, "mergeable": None, "forgetting": 0.0}
TRIALS: dict[str, Any] = {
    "full": ("failed", REASON),
    "zero_shot": [evaluation(POOR, **ZERO)],
    "lora": [evaluation(GOOD), evaluation(GOOD[::-1], train_seconds=60.0, peak_memory_bytes=2 * 10**9)],
    "layers": ("skipped", "the model has 1 block, fewer than n = 2"),
}


def test_schema(tmp_path: Path) -> None:
    folder = comparison(tmp_path / "out", TRIALS)
    board, _ = publish(folder)
    text = (folder / "leaderboard.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == board
    assert list(board) == BOARD
    assert {tuple(row) == tuple(ROW) or set(row) == set(ROW) for row in board["rows"]} == {True}
    assert (board["task"], board["metric"], board["model"]) == ("classification", "accuracy", "some/model")
    assert board["budget"] == {"tokens": 3000, "seconds": 180.0}
    assert (folder / "report.html").stat().st_size > 10_000


def test_rows(tmp_path: Path) -> None:
    board, details = gather(comparison(tmp_path / "out", TRIALS))
    assert [row["method"] for row in board["rows"]] == ["lora", "zero_shot", "full", "layers"]
    lora, zero_shot, full, layers = board["rows"]
    assert (lora["status"], lora["reason"], lora["seeds"], lora["score"]) == ("ok", None, 2, 0.95)
    assert lora["ci95"][0] < 0.95 < lora["ci95"][1]
    assert (lora["train_seconds"], lora["peak_memory_bytes"]) == (50.0, 2 * 10**9), "mean of seconds, most of memory"
    assert (zero_shot["seeds"], zero_shot["train_seconds"]) == (1, 0.0)
    assert (full["status"], full["reason"], full["seeds"]) == ("failed", REASON, 0)
    assert (layers["status"], layers["reason"]) == ("skipped", "the model has 1 block, fewer than n = 2")
    assert {
        full[key] for key in ROW if key not in ("name", "method", "model", "status", "reason", "seeds", "ci95")
    } == {None}
    assert board["best"] == "lora"
    assert details["notes"] == ["1 row is a duplicate."] and details["labels"][0] == "退款"
    assert details["secondary"]["lora"] == {"macro_f1": 0.475}
    assert "learning_rate: 0.001" in details["recipe"] and "method: lora" in details["recipe"]


def test_verdicts(tmp_path: Path) -> None:
    worse = [0.0] * 40
    trials = {**TRIALS, "head": [evaluation(worse)], "soft_prompt": [evaluation([*POOR[1:], 0.0])]}
    board, _ = gather(comparison(tmp_path / "out", trials))
    said = "\n".join(verdicts(board))
    assert "lora beats zero_shot by 70.0 points (95 % interval " in said
    assert "head is worse than zero_shot by 25.0 points (95 % interval 6.6 to 43.4)." in said
    assert "soft_prompt: not distinguishable from zero_shot, -2.5 points" in said
    assert "zero_shot is behind" not in said, "that lora beats it has been said"
    assert "full" not in said and "layers" not in said


def test_recommendation_for_a_clear_winner(tmp_path: Path) -> None:
    folder = tmp_path / "my out"
    text = last_line(gather(comparison(folder, TRIALS))[0])
    assert text.startswith("Use lora: the best score measured, 95.0 accuracy (95 % interval ")
    assert "cannot be told" not in text
    command = text.partition("Go on with: ")[2]
    assert shlex.split(command)[:3] == ["luthier", "predict", str(folder / "trials" / "lora" / "seed-0")]


def test_recommendation_for_a_tie_names_the_much_cheaper_one(tmp_path: Path) -> None:
    tied = [*GOOD[1:], 0.0]
    trials = {"full": [evaluation(GOOD, train_seconds=400.0)], "lora": [evaluation(tied, train_seconds=90.0)],
              "features": [evaluation(tied, train_seconds=3.0)], "zero_shot": [evaluation(POOR, **ZERO)]}  # fmt: skip
    board, _ = gather(comparison(tmp_path / "out", trials))
    assert board["best"] == "full"
    assert "features cannot be told from it on these rows and takes 3 s instead of 400 s" in last_line(board)
    assert "lora: not distinguishable from the best." in verdicts(board)


def test_a_tie_without_a_cheaper_one_is_not_mentioned(tmp_path: Path) -> None:
    trials = {"full": [evaluation(GOOD)], "lora": [evaluation([*GOOD[1:], 0.0])]}
    assert "cannot be told" not in last_line(gather(comparison(tmp_path / "out", trials))[0])


BELOW = "always answering the commonest label (refund)"


def floored(folder: Path, trials: dict[str, Any], right: int) -> Path:
    """A comparison whose constant answer has the last `right` of 40 test rows right."""
    found = comparison(folder, trials)
    per_row = [0.0] * (40 - right) + [1.0] * right
    (found / "floor.json").write_text(json.dumps({"answer": "refund", "per_row": per_row}), encoding="utf-8")
    return found


def test_what_is_worse_than_doing_nothing_is_said_first_and_everywhere(tmp_path: Path) -> None:
    """On the board, the page in both languages and the card: a collapsed method beside one that learned."""
    trials = {"lora": [evaluation(GOOD)], "head": [evaluation([0.0] * 40)], "zero_shot": [evaluation(POOR, **ZERO)]}
    board, details = publish(floored(tmp_path / "out", trials, 24))
    first, second, third, *others = verdicts(board)
    assert first == f"zero_shot is worse by 35.0 points (95 % interval 0.8 to 69.2) than {BELOW}."
    assert second.startswith("head is worse by 60.0 points") and second.endswith(f"than {BELOW}.")
    assert third == "head is worse than zero_shot by 25.0 points (95 % interval 7.5 to 42.5)."
    assert not any("always answering" in s for s in others), "who beats it is measured against the untuned model"
    assert details["below"] == {"zero_shot": ["constant"], "head": ["constant", "untuned"]}
    assert last_line(board).startswith("Use lora: the best score measured, 95.0 accuracy")
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "worse than the untuned model</span>" in page and "不如始终给出最常见的答案" in page
    assert page.count("始终回答{constant}") and "&quot;t&quot;: &quot;said_commonest_label&quot;" in page


@pytest.mark.parametrize(
    ("right", "said"),
    [
        (36, "Use none of these yet: lora has the best score measured, 95.0 accuracy (95 % interval 83.4 to 98.6), "
             f"and is not distinguishable from {BELOW}."),
        (40, f"Use none of these yet: the best score measured, 100.0 accuracy (95 % interval 91.2 to 100.0), is that "
             f"of {BELOW}."),
    ],
)  # fmt: skip
def test_nothing_is_recommended_that_does_no_better_than_the_commonest_label(
    right: int, said: str, tmp_path: Path
) -> None:
    row = [0.0] * (40 - right) + [1.0] * right
    trials: dict[str, Any] = {"lora": [evaluation(GOOD)], "majority": [evaluation(row, **ZERO)]}
    board, details = publish(floored(tmp_path / "out", trials, right))
    assert last_line(board) == said
    assert details["below"] == {}
    if right == 36:
        assert "lora is not distinguishable (5.0 points, 95 % interval" in verdicts(board)[0]
        card = (tmp_path / "out/MODEL_CARD.md").read_text(encoding="utf-8")
        assert "lora is not distinguishable (5.0 points" in card


def test_a_winner_that_cannot_be_told_from_the_untuned_model_is_said_to_be_so(tmp_path: Path) -> None:
    trials = {"lora": [evaluation(GOOD)], "zero_shot": [evaluation([*GOOD[1:], 0.0], **ZERO)]}
    text = last_line(gather(comparison(tmp_path / "out", trials))[0])
    assert "; zero_shot, the untuned model, cannot be told from it on these rows. Go on with: " in text


def test_methods_for_other_data_have_no_row_and_are_named(tmp_path: Path) -> None:
    trials = {**TRIALS, "features": ("unneeded", "it gives labels")}
    board, details = publish(comparison(tmp_path / "out", trials))
    assert [row["method"] for row in board["rows"]] == ["lora", "zero_shot", "full", "layers"]
    assert details["notes"] == ["Not tried, being for other data: features.", "1 row is a duplicate."]
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    top, _, rest = page.partition('id="leaderboard"')
    assert "1 row is a duplicate." in top and "1 row is a duplicate." not in rest, "notes stand above the board"


def test_notes_of_single_rows_stand_above_the_board(tmp_path: Path) -> None:
    note, mixed = say("said_search_failures", count=3, reason="no answer"), ["refund", "退款"] * 20
    trials = {
        "lora": [remember(evaluation(GOOD, answers=mixed, notes=[note]), "notes")] * 2,
        "head": [evaluation(POOR)] * 2,
        "majority": [evaluation(POOR, **ZERO)],
        "zero_shot": [evaluation(POOR, **{**ZERO, "answers": mixed})],
    }
    board, details = publish(comparison(tmp_path / "out", trials))
    assert details["run_notes"] == [["lora", note], ["head", "all 40 test rows got the same answer: refund"]]
    page, out = (tmp_path / "out/report.html").read_text(encoding="utf-8"), StringIO()
    assert "failures: 3, such as: no answer" in page.partition('id="leaderboard"')[0]
    print_leaderboard(board, Console(file=out, width=100), details)
    assert out.getvalue().index("Note: lora: failures: 3, such as: no answer") < out.getvalue().index("Method")


def test_a_part_of_the_page_that_cannot_be_made_is_said_and_the_rest_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("planted")

    folder = comparison(tmp_path / "out", TRIALS)
    for part in ("measured", "curves", "facts"):
        monkeypatch.setattr(sections, part, broken)
    monkeypatch.setattr(charts, "scatter", broken)
    monkeypatch.setattr(board_module, "evidence", broken)
    board, _ = publish(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("could not be made (ZeroDivisionError: planted).</li>") == 4
    assert "Use <code>lora</code>: the best score measured" in page and "Low-rank updates" in page
    monkeypatch.setattr(shown, "write_card", broken)
    monkeypatch.setattr(shown, "write_report", broken)
    again, details = publish(folder)
    assert again == board == read_json(folder / "leaderboard.json")
    reason = "could not be made: ZeroDivisionError: planted (details in report.log)"
    assert details["notes"][:3] == [
        f"{what} {reason}" for what in ("MODEL_CARD.md", "report.html", "What single rows show")
    ]
    assert not (folder / "report.html").exists(), "one of an earlier state would say something else"


@pytest.mark.parametrize(("labels", "task"), [(("a", "b"), "classification"), ((), "generation")])
def test_nothing_finished(tmp_path: Path, labels: tuple[str, ...], task: str) -> None:
    folder = comparison(tmp_path / "out", {"full": ("failed", REASON), "lora": ("skipped", "why")}, labels)
    board, _ = publish(folder)
    assert (board["task"], board["best"], last_line(board)) == (task, None, "No method finished.")
    assert board["verdicts"] == []
    assert REASON in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", ["outcome.json", "seed-0/eval.json", "seed-0/environment.json"])
@pytest.mark.parametrize("content", [b"", b'{"a"', b"{}", b"[]", b"\xff\xfe\0", b"3"])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, file: str, content: bytes) -> None:
    path = comparison(tmp_path / "out", TRIALS) / "trials" / "lora" / file
    path.write_bytes(content)
    if (file, content) == ("seed-0/environment.json", b"{}"):
        gather(tmp_path / "out")
        return
    with pytest.raises(LuthierError, match=r"damaged .*: remove it and give the same command again") as caught:
        gather(tmp_path / "out")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"[]\n", b"{}\n", b"\xff\xfe\0", b"\0\n", b""])
def test_damaged_metrics_cost_their_curve_only(tmp_path: Path, content: bytes) -> None:
    folder = comparison(tmp_path / "out", TRIALS)
    board, _ = gather(folder)
    assert curves(folder, board)["lora"] == [{"seed": k, "tokens": 90, "loss": 2.5} for k in (0, 1)]
    (folder / "trials/lora/seed-0/metrics.jsonl").write_bytes(content)
    assert curves(folder, board)["lora"] == [{"seed": 1, "tokens": 90, "loss": 2.5}]
    assert publish(folder)[0] == read_json(folder / "leaderboard.json")


def test_the_command_in_the_report_can_be_pasted() -> None:
    data = DataConfig("my data.csv", test="t.csv", map={"0": "text"}, labels={"0": "非 常"}, skip_bad=True, limit=9)
    words = shlex.split(command_of(Request(data, "owner/name", ("lora",), "20k-tokens", 3)))
    assert words == ["luthier", "compare", "my data.csv", "--test", "t.csv", "--map", "0=text", "--labels", "0=非 常",
                     "--skip-bad", "--limit", "9", "--model", "owner/name", "--methods", "lora", "--budget",
                     "20k-tokens", "--seeds", "3"]  # fmt: skip


def test_no_comparison_here(tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match="no comparison was begun here"):
        gather(tmp_path)
