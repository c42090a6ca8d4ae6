"""Answers that were found bad are not learned, whatever column or key of a message says so, in every layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase
from luthier.core.records import Chat, Judged, Message
from luthier.data.load import load_split
from luthier.data.notes import place
from luthier.data.read import Table, read
from luthier.data.task import supervised
from luthier.io.config import DataConfig
from luthier.reports.inspection.findings import findings
from luthier.reports.inspection.inspection import Reader, inspect
from luthier.runs.evaluate import _table

U = {"role": "user", "content": "Wie spät ist es?"}
A = {"role": "assistant", "content": "Drei Uhr."}
LAYOUTS: dict[str, dict[str, Any]] = {
    "messages": {"messages": [U, A]},
    "conversations": {"conversations": [{"from": "human", "value": "几点了？"}, {"from": "gpt", "value": "三点。"}]},
    "prompt": {"prompt": "q", "completion": "a"},
    "lists": {"prompt": [U], "completion": [A]},
    "instruct": {"instruction": "q", "input": "", "output": "a"},
    "question": {"question": "q", "answer": "a"},
    "answers": {"question": "q", "answers": {"text": ["a"]}},
    "中文": {"问题": "几点了？", "回答": "三点。"},
}


def reads(tmp_path: Path, *rows: Any, **more: Any) -> Table:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return read(path, **more)


def goods(table: Table) -> list[bool | None]:
    return [record.good if isinstance(record, Judged) else None for record in table.records]


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize(
    ("column", "good", "bad"), [("label", True, False), ("thumbs", "up", "down"), ("点赞", "赞", "踩")]
)
def test_a_verdict_is_honoured_in_every_layout(
    tmp_path: Path, name: str, column: str, good: Any, bad: Any
) -> None:  # fmt: skip
    """Seen failing before there was one place for it: only prompt and completion with a label were judged."""
    rows = [LAYOUTS[name] | {column: value} for value in (good, bad)]
    table = reads(tmp_path, *rows)
    assert goods(table) == [True, False] and not table.bad
    learned, left = supervised(table, imitate=True)
    assert learned.records == reads(tmp_path, LAYOUTS[name]).records and [row.line for row in left] == [2]


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        ("kto_tag", "True", "False"), ("thumb", "👍🏽", "👎"), ("feedback", "thumbs_up", "thumbs-down"),
        ("user_feedback", "Positive", "Negative"), ("thumbs_up", True, False), ("liked", 1.0, 0.0),
        ("rating", "up", "down"), ("rating", 1, -1), ("isAccepted", "yes", "no"), ("feedback", {"rating": 1},
        {"rating": -1}), ("thumbs_down", False, True), ("反馈", "好", "坏"), ("是否采纳", "是", "否"),
        ("反馈", "满意", "不满意"), ("点踩", 0, 1), ("标签", "好", "差"), ("评价", "有用", "没有帮助"),
    ],
)  # fmt: skip
def test_what_such_columns_are_called_and_hold(tmp_path: Path, column: str, good: Any, bad: Any) -> None:
    """Seen failing with `thumbs_down` read as `thumbs_up`, and with 1.0 of a data frame unknown."""
    table = reads(tmp_path, *({"question": "q", "answer": "a", column: value} for value in (good, bad, None)))
    assert goods(table) == [True, False, None] and not table.bad
    (said,) = [note for note in table.notes if "usually called" in note]
    assert f'"{column}" → label' in said
    (key,) = [key for key in table.keys if key.name == column]
    assert (key.used, key.empty, key.unused) == (2, 1, 0)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("rating", [5, 1, 3]), ("rating", [1, 2, 1]), ("评分", ["4", "5", "1"]), ("score", [0.9, 0.1, 1.0]),
        ("feedback", ["What a fine answer.", "Too long for me.", "good"]), ("stars", [1, 0, 1]),
        ("label", ["billing", "returns", "billing"]), ("label", [7, 1, 0]),
    ],
)  # fmt: skip
def test_ratings_words_and_classes_are_no_verdicts_and_told(tmp_path: Path, column: str, values: list[Any]) -> None:
    """Seen failing with 0 and 1 of a scale of more counted as verdicts."""
    table = reads(tmp_path, *(LAYOUTS["messages"] | {column: value} for value in values))
    assert goods(table) == [None, None, None] and not table.bad
    assert f"not used, with the number of rows: {column} (3)" in table.notes[0]


def test_zero_beside_minus_one_says_nothing(tmp_path: Path) -> None:
    table = reads(tmp_path, *({"question": "q", "answer": "a", "rating": value} for value in (1, 0, -1, "neutral")))
    assert goods(table) == [True, None, False, None]


def test_two_buttons_of_which_neither_was_clicked_say_nothing(tmp_path: Path) -> None:
    """Seen failing with what was not clicked read as bad."""
    clicks = [(1, 0), (0, 1), (0, 0)]
    rows = [{"question": "q", "answer": "a", "thumbs_up": up, "thumbs_down": down} for up, down in clicks]
    assert goods(reads(tmp_path, *rows)) == [True, False, None]


def test_a_class_beside_the_answer_that_names_it_is_no_verdict(tmp_path: Path) -> None:
    names = ["negative", "positive"]
    rows = [{"instruction": "Mood?", "input": f"t{i}", "output": names[i % 2], "label": i % 2} for i in range(20)]
    table = reads(tmp_path, *rows)
    assert goods(table) == [None] * 20 and "not used, with the number of rows: label (20)" in table.notes[0]
    rows = [row | {"label": bool(row["label"])} for row in rows]
    assert goods(reads(tmp_path, *rows)) == [False, True] * 10


def test_a_value_that_is_no_verdict_among_verdicts_spoils_its_row(tmp_path: Path) -> None:
    """Seen failing with the row learned: nobody knows whether its answer is good."""
    table = reads(tmp_path, *(LAYOUTS["messages"] | {"thumbs": value} for value in ("up", "sideways", "down")))
    assert goods(table) == [True, False]
    assert [bad.reason for bad in table.bad] == ['field "thumbs" is "sideways", not true or false']


def test_map_names_the_verdict(tmp_path: Path) -> None:
    rows = [{"q": "q", "a": "a", "ok?": value} for value in (1, 0)]
    table = reads(tmp_path, *rows, columns={"q": "question", "a": "answer", "ok?": "label"})
    assert goods(table) == [True, False]


def test_a_judged_answer_keeps_its_calls_and_its_thoughts(tmp_path: Path) -> None:
    """Seen failing with the words of the answer alone."""
    call = [{"name": "clock", "arguments": {}}]
    said = {"role": "assistant", "content": None, "tool_calls": call, "reasoning_content": "Look."}
    plain = reads(tmp_path, {"messages": [U, said]}).records
    assert supervised(reads(tmp_path, {"messages": [U, said], "thumbs": "👍"}))[0].records == plain


MARKED = [
    ("label", False),
    ("rating", -1),
    ("feedback", "bad"),
    ("thumbs", "👎"),
    ("评价", "差"),
    ("thumbs_down", True),
]


@pytest.mark.parametrize(("key", "bad"), MARKED)
def test_a_message_that_was_found_bad_carries_no_loss(tmp_path: Path, key: str, bad: Any) -> None:
    """Seen failing with marks on messages left out: all four answers were learned."""
    turns = [U, A | {key: bad}, U, A]
    (record,) = reads(tmp_path, {"messages": turns}).records
    assert isinstance(record, Chat) and [m.learned for m in record.messages] == [True, False, True, True]
    table = reads(
        tmp_path, {"messages": turns}, {"messages": [U, A, U, A | {key: bad}]}, {"messages": [U, A | {key: bad}]}
    )
    assert table.records[1] == Chat((Message("user", U["content"]), Message("assistant", A["content"])))
    assert goods(table) == [None, None, False] and not table.bad
    (found,) = [each for each in table.keys if place(each) == f"messages[].{key}"]
    assert found.off == 3
    human = {"from": "gpt", "value": "Drei Uhr.", key: bad}
    first, *rest = LAYOUTS["conversations"]["conversations"]
    (record,) = reads(tmp_path, {"conversations": [first, human, first, *rest]}).records
    assert isinstance(record, Chat) and [m.learned for m in record.messages] == [True, False, True, True]


def test_ratings_of_messages_are_no_verdicts(tmp_path: Path) -> None:
    table = reads(tmp_path, {"messages": [U, A | {"rating": 1}, U, A | {"rating": 4}]})
    assert "messages[].rating (1)" in table.notes[0] and goods(table) == [None]


def _file(tmp_path: Path, name: str) -> str:
    path = tmp_path / name
    rows = [
        {"messages": [{**U, "content": f"{name} {i}"}, {**A, "content": f"{name} {i} {i % 3}"}], "label": bool(i % 3)}
        for i in range(30)
    ]
    rows[1]["label"] = None
    path.write_text(json.dumps(rows), encoding="utf-8")
    return str(path)


def test_neither_training_nor_test_rows_hold_bad_answers_and_their_number_is_told(
    tmp_path: Path, tiny_folder: Any
) -> None:
    """Seen failing with the test file's verdicts left out."""
    train, test = _file(tmp_path, "train.json"), _file(tmp_path, "test.json")
    config = DataConfig(train, test)
    split, notes = load_split(config)
    learned = [record.wanted for part in (split.train, split.validation, split.test) for record in part]
    assert len(learned) == 40 and not any(answer.endswith(" 0") for answer in learned)
    for path in (train, test):
        assert (
            f"10 of 30 rows of {path} are answers that were found bad: learning by imitation leaves them out." in notes
        )
    assert all(isinstance(note, Phrase) and note.text("zh") != note for note in notes)
    said = "train.json: 1 of 30 answers have no verdict and are learned like good ones."
    (note,) = [note for note in notes if note == said]
    assert isinstance(note, Phrase) and note.key == "said_data_unjudged" and "没有评价" in note.text("zh")
    for found in inspect(config, Reader(str(tiny_folder("llama_tied")))):
        told = [finding.text.text() for finding in findings(found)]
        assert "10 rows are answers that were found bad: learning by imitation leaves them out" in told
        assert found.balance == (("good", 19), ("bad", 10))
    split, _ = load_split(DataConfig(train))
    assert not any(record.wanted.endswith(" 0") for record in split.test)


def test_a_file_of_bad_answers_alone_teaches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("问题,回答,反馈\n" + "".join(f"问{i},答{i},踩\n" for i in range(12)), encoding="utf-8")
    with pytest.raises(LuthierError, match="all 12 answers were found bad"):
        load_split(DataConfig(str(path)))


def test_a_run_is_not_scored_on_bad_answers(tmp_path: Path) -> None:
    """Seen failing with a division by no rows."""
    reads(tmp_path, *({"question": f"q{i}", "answer": f"a{i}", "liked": i > 2} for i in range(6)))
    scored = _table(DataConfig(str(tmp_path / "rows.jsonl"), metric="chrF"), tmp_path / "rejected.jsonl")
    assert [record.wanted for record in scored.records] == ["a3", "a4", "a5"]
    reads(tmp_path, *({"question": f"q{i}", "answer": f"a{i}", "liked": False} for i in range(6)))
    with pytest.raises(LuthierError, match="none of 6 rows can be used: the answer was found bad"):
        _table(DataConfig(str(tmp_path / "rows.jsonl")), tmp_path / "rejected.jsonl")
