"""Marks behind answers are taken off and told of; answers that are labels in disguise are told of with the option."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.core.records import Chat, Judged, Labelled, Preference
from luthier.data.marks import Disguise, Mark, disguised
from luthier.data.notes import columns, notes
from luthier.data.read import Table, read
from luthier.data.task import read_table
from luthier.io.config import DataConfig

MOODS = ["good", "bad"]


def reads(tmp_path: Path, rows: list[Any], **more: Any) -> Table:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read(path, **more)


def told(tmp_path: Path, rows: list[Any]) -> list[str]:
    """The notes that a comparison begins with."""
    reads(tmp_path, rows)
    path = str(tmp_path / "rows.jsonl")
    return list(read_table(DataConfig(path), path).notes)


MARKS = ["<|endoftext|>", "</s>", "<|im_end|>", " END", "\n\n###\n\n", "[EOS]", "<|eot_id|>", " [END]", "<eos> \n"]


@pytest.mark.parametrize("mark", [*MARKS, "<end_of_turn>", "<｜end▁of▁sentence｜>", "[end]"])
def test_a_mark_behind_every_answer_is_taken_off(tmp_path: Path, mark: str) -> None:
    rows = [{"prompt": f"q{i}", "completion": f"An answer {i}.{mark}"} for i in range(12)]
    table = reads(tmp_path, rows)
    assert [record.wanted for record in table.records] == [f"An answer {i}." for i in range(12)]
    assert table.mark == Mark(mark.strip(), 12)
    assert f"12 of 12 answers end with {mark.strip()}, a mark that is taken off" in next(notes(table, "f"))


@pytest.mark.parametrize("mark", ["<|im_end|><|endoftext|>", "</s> </s>\n", "<|eot_id|>\n\n<|end_of_text|>  "])
def test_several_marks_in_a_row_are_taken_off(tmp_path: Path, mark: str) -> None:
    """Seen failing with one token taken off: "答 3<|im_end|>"."""
    table = reads(tmp_path, [{"prompt": f"q{i}", "completion": f"答 {i}{mark}"} for i in range(12)])
    assert [record.wanted for record in table.records] == [f"答 {i}" for i in range(12)]
    assert table.mark == Mark("".join(mark.split()), 12)


def test_special_tokens_of_several_models_are_one_kind_of_mark(tmp_path: Path) -> None:
    """Seen failing with the commonest one alone: none of them stands behind nine of ten answers."""
    ends = ["</s>", "<|im_end|>", "<|im_end|><|endoftext|>"]
    table = reads(tmp_path, [{"prompt": f"q{i}", "completion": f"a {i}{ends[i % 3]}"} for i in range(30)])
    assert [record.wanted for record in table.records] == [f"a {i}" for i in range(30)]
    assert table.mark and table.mark.rows == 30 and {table.mark.text, *table.mark.more} == {*ends}
    assert "30 of 30 answers end with </s> or <|im_end|> or" in next(notes(table, "f"))


@pytest.mark.parametrize("end", [".", " TREND", " end", "#", "> END."])
def test_words_are_no_marks(tmp_path: Path, end: str) -> None:
    table = reads(tmp_path, [{"prompt": "q", "completion": f"a {i}{end}"} for i in range(12)])
    assert table.mark is None and table.records[3].wanted == f"a 3{end}"


def test_nearly_every_answer_is_enough_and_some_are_not(tmp_path: Path) -> None:
    rows = [{"prompt": "q", "completion": f"a {i}" + ("</s>" if i else "")} for i in range(20)]
    assert reads(tmp_path, rows).mark == Mark("</s>", 19)
    assert reads(tmp_path, rows[:5]).mark is None
    table = reads(tmp_path, [*rows, {"prompt": "q", "completion": " </s>"}])
    assert [bad.reason for bad in table.bad] == ["the answer is nothing but the mark </s>"]


@pytest.mark.parametrize(("mark", "other"), [(" END", "goes to the BACKEND"), (" ###", "a rule: ####")])
def test_an_answer_that_only_looks_like_it_keeps_its_end(tmp_path: Path, mark: str, other: str) -> None:
    """Seen failing: "goes to the BACK"."""
    rows = [{"prompt": f"q{i}", "completion": f"a {i}{mark}"} for i in range(20)]
    table = reads(tmp_path, [*rows, {"prompt": "q", "completion": other}])
    assert table.mark and table.records[0].wanted == "a 0" and table.records[-1].wanted == other


def test_every_kind_of_answer_loses_its_mark(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a</s>"}]
    (chat,) = reads(tmp_path, [{"messages": [*turns, *turns]}]).records
    assert isinstance(chat, Chat) and [m.content for m in chat.messages] == ["q", "a", "q", "a"]
    (pair,) = reads(tmp_path, [{"prompt": "q", "chosen": "a</s>", "rejected": "b</s>"}]).records
    assert isinstance(pair, Preference) and (pair.chosen, pair.rejected) == ("a", "b")
    (judged,) = reads(tmp_path, [{"prompt": "q", "completion": "a</s>", "label": True}]).records
    assert isinstance(judged, Judged) and judged.answer == "a"


DISGUISES: dict[str, tuple[list[dict[str, str]], str]] = {
    "completion": (
        [{"prompt": f"q{i}", "completion": f" {MOODS[i % 2]}"} for i in range(20)],
        "prompt=text,completion=label",
    ),
    "question": ([{"question": f"q{i}", "answer": MOODS[i % 2]} for i in range(20)], "question=text,answer=label"),
    "instruction": (
        [{"instruction": f"q{i}", "output": MOODS[i % 2]} for i in range(20)],
        "instruction=text,output=label",
    ),
    "input": (
        [{"instruction": "Mood?", "input": f"q{i}", "output": MOODS[i % 2]} for i in range(20)],
        "input=text,output=label",
    ),
    "system": (
        [{"system": "Only one word.", "question": f"q{i}", "answer": MOODS[i % 2]} for i in range(20)],
        "question=text,answer=label",
    ),
    "中文": (
        [{"prompt": f"句子{i}", "completion": "正面" if i % 2 else "负面"} for i in range(20)],
        "prompt=text,completion=label",
    ),
}


@pytest.mark.parametrize("name", DISGUISES)
def test_labels_in_disguise_are_told_of_with_the_option_that_reads_them(tmp_path: Path, name: str) -> None:
    rows, option = DISGUISES[name]
    (said,) = told(tmp_path, rows)
    assert "its 20 answers are 2 short texts" in said
    assert said.endswith(f"luthier compare {tmp_path / 'rows.jsonl'} --map {option} reads them as labels.")
    mapped = reads(tmp_path, rows, columns=dict(pair.split("=") for pair in option.split(",")))
    assert mapped.task == "classification" and len(mapped.records) == 20
    first = mapped.records[0]
    assert isinstance(first, Labelled) and first.label == next(v for k, v in rows[0].items() if k in (
        "completion", "answer", "output")).strip()  # fmt: skip


def test_an_end_mark_hides_no_labels(tmp_path: Path) -> None:
    rows = [{"prompt": f"q{i} ->", "completion": f" {MOODS[i % 2]} END"} for i in range(20)]
    table = reads(tmp_path, rows)
    assert disguised(table.records, columns(table)) == Disguise(
        ("good", "bad"), 20, "--map prompt=text,completion=label"
    )
    mapped = reads(tmp_path, rows, columns={"prompt": "text", "completion": "label"})
    assert {r.wanted for r in mapped.records} == {"good", "bad"}


@pytest.mark.parametrize(
    "rows",
    [
        [{"prompt": f"q{i}", "completion": f"answer {i}"} for i in range(20)],
        [{"prompt": f"q{i}", "completion": f"a rather long answer, {MOODS[i % 2]}"} for i in range(20)],
        [{"prompt": f"q{i}", "completion": MOODS[i % 2]} for i in range(8)],
        [{"prompt": f"q{i}", "completion": "good"} for i in range(20)],
    ],
)
def test_answers_that_are_no_labels(tmp_path: Path, rows: list[Any]) -> None:
    table = reads(tmp_path, rows)
    assert disguised(table.records, columns(table)) is None


def test_no_option_is_named_where_it_would_lose_something(tmp_path: Path) -> None:
    rows = [{"instruction": f"Task {i}", "input": f"q{i}", "output": MOODS[i % 2]} for i in range(20)]
    (said,) = told(tmp_path, rows)
    assert said.endswith("as labels are, and read as generation.")
