"""Every layout in every format: the same records come out, and a planted fault drops its row alone, with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import sample_files
from luthier.core.errors import LuthierError
from luthier.core.records import Chat, Judged, Labelled, Message, Preference, Rated, Record, Tagged, Text
from luthier.data.read import Table, read, read_inputs

Row = dict[str, Any]
USER, ASSISTANT, SYSTEM = Message("user", "问?"), Message("assistant", "答 a"), Message("system", "s")
LAYOUTS: dict[str, tuple[Row, Record, list[tuple[Row, str]]]] = {
    # name: a row, its record, and faulty rows with a part of the reason
    "labelled": (
        {"text": "好 t", "label": "x"}, Labelled("好 t", "x"),
        [({"text": " ", "label": "x"}, '"text" is empty'), ({"text": "t", "label": ""}, '"label" is empty')],
    ),
    "tagged": (
        {"text": "t", "labels": ["a", "b", "a"]}, Tagged("t", ("a", "b")),
        [({"text": "t", "labels": ["a", " "]}, 'label 2 of field "labels" is empty'),
         ({"text": "", "labels": ["a"]}, '"text" is empty')],
    ),
    "rated": (
        {"text": "t", "value": 2.5}, Rated("t", 2.5),
        [({"text": "t", "value": None}, "not a number"), ({"text": "t", "value": float("inf")}, "inity|finite|JSON")],
    ),
    "text": ({"text": "t"}, Text("t"), [({"text": "\u200b"}, '"text" is empty')]),
    "instruct": (
        {"instruction": "i", "input": "", "output": "o"}, Chat((Message("user", "i"), Message("assistant", "o"))),
        [({"instruction": "i", "input": "j", "output": ""}, '"output" is empty')],
    ),
    "question": (
        {"question": "q", "answer": "a"}, Chat((Message("user", "q"), Message("assistant", "a"))),
        [({"question": "q", "answer": " "}, '"answer" is empty'), ({"question": "", "answer": "a"}, "is empty")],
    ),
    "completion": (
        {"prompt": "p", "completion": "c"}, Chat((Message("user", "p"), Message("assistant", "c"))),
        [({"prompt": "", "completion": "c"}, '"prompt" is empty')],
    ),
    "judged": (
        {"prompt": "p", "completion": "c", "label": True}, Judged((Message("user", "p"),), "c", True),
        [({"prompt": "p", "completion": "", "label": False}, '"completion" is empty')],
    ),
    "preference": (
        {"prompt": "p", "chosen": "c", "rejected": "r"}, Preference((Message("user", "p"),), "c", "r"),
        [({"prompt": "p", "chosen": "same", "rejected": "same "}, "are the same answer"),
         ({"prompt": "p", "chosen": "c", "rejected": ""}, '"rejected" is empty')],
    ),
}  # fmt: skip


def turn(role: str, content: str) -> Row:
    return {"role": role, "content": content}


def said(who: str, value: str) -> Row:
    return {"from": who, "value": value}


U, A = turn("user", "问?"), turn("assistant", "答 a")
LISTS: dict[str, tuple[Row, Record, list[tuple[Row, str]]]] = {
    "messages": (
        {"messages": [turn("system", "s"), U, A]}, Chat((SYSTEM, USER, ASSISTANT)),
        [({"messages": [U]}, "the last message is the user's"), ({"messages": [U, turn("bot", "x")]}, 'role "bot"')],
    ),
    "sharegpt": (
        {"conversations": [said("system", "s"), said("human", "问?"), said("gpt", "答 a")]},
        Chat((SYSTEM, USER, ASSISTANT)),
        [({"conversations": [said("human", "x")]}, "the last message is the user's"),
         ({"conversations": [said("human", "x"), said("narrator", "y")]}, 'message 2 is from "narrator"'),
         ({"conversations": []}, "is empty")],
    ),
    "completion": (
        {"prompt": [U], "completion": [A]}, Chat((USER, ASSISTANT)),
        [({"prompt": [U], "completion": [U]}, "the last message is the user's"),
         ({"prompt": [A], "completion": [A]}, "the last message before the answer is the assistant's")],
    ),
    "judged": (
        {"prompt": [U], "completion": [A], "label": False}, Judged((USER,), "答 a", False),
        [({"prompt": [U], "completion": [U], "label": True}, "the last message is the user's")],
    ),
    "preference": (
        {"prompt": [U], "chosen": [A], "rejected": [turn("assistant", "r")]}, Preference((USER,), "答 a", "r"),
        [({"prompt": [U], "chosen": [A], "rejected": [U]}, "ends with the user's message")],
    ),
    "whole preference": (
        {"chosen": [U, A], "rejected": [U, turn("assistant", "r")]}, Preference((USER,), "答 a", "r"),
        [({"chosen": [U, A], "rejected": [turn("user", "v"), A]}, "differ before their last message"),
         ({"chosen": [A], "rejected": [turn("assistant", "r")]}, "missing field|is null")],
    ),
    "conversations and answers": (
        {"conversations": [said("human", "问?")], "chosen": said("gpt", "答 a"), "rejected": said("gpt", "r")},
        Preference((USER,), "答 a", "r"),
        [({"conversations": [said("gpt", "x")], "chosen": said("gpt", "a"), "rejected": said("gpt", "r")}, "not the")],
    ),
}  # fmt: skip


def cases() -> list[Any]:
    flat = [(kind, name, *LAYOUTS[name]) for kind in sample_files.EVERY for name in LAYOUTS]
    lists = [(kind, f"{name} in lists", *LISTS[name]) for kind in sample_files.STRUCTURED for name in LISTS]
    return [pytest.param(kind, *rest, id=f"{name} in {kind}") for kind, name, *rest in flat + lists]


def plain(records: tuple[Record, ...]) -> list[Record]:
    return [Text(r.text) if isinstance(r, Text) else r for r in records]


@pytest.mark.parametrize(("kind", "good", "record", "faulty"), cases())
def test_every_layout_in_every_format(
    tmp_path: Path, kind: str, good: Row, record: Record, faulty: list[tuple[Row, str]]
) -> None:
    """Seen failing with the reason of a row given to the one after it, and with faulty rows left out of `bad`."""
    import re

    rows = [good, *(row for row, _ in faulty), good, good, good]
    table = read(sample_files.write(rows, kind, tmp_path))
    assert plain(table.records) == [record] * 4
    assert len(table.records) + len(table.bad) == len(rows)
    assert len({*table.lines} | {b.line for b in table.bad}) == (len(rows) if kind != "json object" else 1)
    for bad, (_, reason) in zip(table.bad, faulty, strict=True):
        assert re.search(reason, bad.reason), bad.reason
    first = {"jsonl": 1, "json": 2, "json object": 1, "csv": 2, "tsv": 2, "parquet": 1, "datasets": 1}[kind]
    assert table.lines[0] == first and table.unit == ("row" if kind in ("parquet", "datasets") else "line")
    if kind in ("jsonl", "csv", "tsv", "parquet", "datasets"):
        assert [bad.line for bad in table.bad] == [first + i for i in range(1, len(faulty) + 1)]


@pytest.mark.parametrize("kind", sample_files.EVERY)
def test_mapping_in_every_format(tmp_path: Path, kind: str) -> None:
    rows = [{"frage": f"q{i}", "gut": f"a{i}", "schlecht": f"b{i}", "n": str(i)} for i in range(3)]
    columns = {"frage": "prompt", "gut": "chosen", "schlecht": "rejected"}
    table = read(sample_files.write(rows, kind, tmp_path), columns=columns, instruction="Do.")
    assert table.records[1] == Preference((Message("user", "Do.\nq1"),), "a1", "b1")
    table = read(tmp_path / sample_files.EVERY[kind][0], columns={"frage": "text", "n": "value"})
    assert table.task == "regression" and table.records[2] == Rated("q2", 2.0)


def reasons(table: Table) -> list[tuple[int, str]]:
    return [(bad.line, bad.reason) for bad in table.bad]


GOOD = '{"text": "t", "label": "x"}'


@pytest.mark.parametrize(
    ("content", "kept", "bad"),
    [
        (f"[\n  {GOOD},\n  {{'text': }},\n  {GOOD}\n]", [2, 4], [(3, "not JSON: Expecting property name")]),
        (f"[\n  {GOOD},\n  {{'text': 1}},\n  {GOOD}\n]", [2, 4], [(3, 'field "text" is a number, not text')]),
        (f"[\n{GOOD},\nnonsense,\n{GOOD}\n]", [2, 4], [(3, "not JSON: Expecting value at line 3, column 1")]),
        (f"[\n{GOOD}\n{GOOD},\n{GOOD}]", [2, 4], [(3, "a comma is missing before this row")]),
        (f"[{GOOD}, {{broken}}, {GOOD}]", [1], [(1, "what follows it in the file is lost with it")]),
        (f"[\n{GOOD},\n{GOOD}", [2, 3], [(3, "it is cut off")]),
        (f"[\n{GOOD},\n{{\"text\": \"t", [2], [(3, "Unterminated string")]),
        (f"[{GOOD}, 3, null, {GOOD}]", [1, 1], [(1, "but a number"), (1, "but null")]),
        (f'[{GOOD}, {{"text": NaN, "label": "x"}}]', [1], [(1, "NaN is not a JSON value")]),
        (f"[{GOOD}]\n{GOOD}", [1], [(2, "text after the end of the array")]),
        (f'{{"a": [1, 2], "rows": [\n{GOOD},\n{{"text": "t"}}], "n": {{}}}}', [2], [(3, 'missing field "label"')]),
        (f'{{"rows": [\n{GOOD},\n{{oops}},\n{GOOD}]}}', [2, 4], [(3, "not JSON")]),
        (f"{GOOD}\n{GOOD}\noops\n", [1, 2], [(3, "not JSON")]),
        (GOOD, [1], []),
        ("\ufeff" + f"[{GOOD}]", [1], []),
    ],
)  # fmt: skip
def test_json_files(tmp_path: Path, content: str, kept: list[int], bad: list[tuple[int, str]]) -> None:
    path = tmp_path / "a.json"
    path.write_text(content, encoding="utf-8")
    table = read(path)
    assert list(table.lines) == kept
    found = reasons(table)
    assert [line for line, _ in found] == [line for line, _ in bad]
    assert all(part in reason for (_, reason), (_, part) in zip(found, bad, strict=True)), found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "is empty"), ("3", "not a JSON array or object"), ('"text"', "not a JSON array or object"),
        ('{"train": [{"text": "t"}], "test": [{"text": "t"}]}', 'holds 2 lists of rows \\("train", "test"\\)'),
        ('{"a": 1}', "without a list of rows"), ("[" * 100_000, "none of its 1 rows"),
        ('{"a": [', "none of its 1 rows"),
    ],
)  # fmt: skip
def test_json_files_without_rows(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(LuthierError, match=message):
        read(path)


def test_broken_bytes_in_an_array_spoil_one_row(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(f"[{GOOD},\n".encode() + b'{"text": "caf\xe9", "label": "x"},\n' + f"{GOOD}]".encode())
    table = read(path)
    assert table.lines == (1, 3) and reasons(table) == [(2, "not valid UTF-8: byte 0xe9 at character 14")]


def test_paragraphs(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes("\ufeffone\r\ntwo\r\n\r\n \n\n三段。\n\n".encode() + b"caf\xe9\n\nlast")
    table = read(path)
    assert table.task == "text" and table.lines == (1, 6, 10)
    assert table.records == tuple(Text(t, "notes.txt") for t in ("one\ntwo", "三段。", "last"))
    assert reasons(table) == [(8, "not valid UTF-8: byte 0xe9 at character 4")]


def test_what_is_more_specific_wins(tmp_path: Path) -> None:
    def kind(*rows: Row) -> str:
        return read(sample_files.jsonl(rows, tmp_path / "a.jsonl")).layout

    both = {"text": "t", "label": "x"}
    assert kind(both, {"text": "t"}) == "text and label"
    assert kind({**both, "score": 0.9}) == "text and label"
    assert kind({"text": "t", "score": 0.9}) == "text and value"
    assert kind({"text": "t", "url": "u"}) == "text alone"
    with pytest.raises(LuthierError, match='has text and "label": say what it is'):
        kind({"text": "t"}, {"text": "u"}, {"text": "v"}, both)
    assert kind({"instruction": "i", "output": "o", "text": "t"}) == "instruction and input and output"
    judged = {"prompt": "p", "completion": "c", "label": "source"}
    assert kind(judged) == "prompt and completion"
    assert kind({**judged, "label": False}, {**judged, "label": True}, judged) == "prompt and completion and label"
    chosen = {"prompt": "p", "chosen": "c", "rejected": "r", "messages": [U, A]}
    assert kind(chosen) == "prompt and chosen and rejected"


@pytest.mark.parametrize("column", ["lable", "category", "target", "class"])
def test_a_label_by_another_name_is_not_read_as_plain_text(tmp_path: Path, column: str) -> None:
    path = sample_files.jsonl([{"text": "t", column: "x"}] * 2, tmp_path / "a.jsonl")
    with pytest.raises(LuthierError, match=f'has text and "{column}": say what it is with --map'):
        read(path)
    assert read(path, columns={"text": "text"}).task == "text"
    assert read(path, columns={column: "label"}).task == "classification"


def test_tables_write_lists_and_verdicts_as_words(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,labels\na,"x, y;z"\nb,\nc,"[""q;r""]"\nd,[broken\n')
    table = read(path)
    assert table.records == (Tagged("a", ("x, y", "z")), Tagged("b", ()), Tagged("c", ("q;r",)))
    assert "begins as a JSON list" in table.bad[0].reason
    path.write_text("prompt,completion,label\na,b,True\nc,d,0\ne,f,maybe\n")
    table = read(path)
    assert [r.good for r in table.records if isinstance(r, Judged)] == [True, False]
    assert table.bad[0].reason == 'field "label" is "maybe", not true or false'
    path.write_text("text,value\na,1e3\nb,many\nc,nan\nd,1_000\n")
    table = read(path)
    assert [r.value for r in table.records if isinstance(r, Rated)] == [1000.0]
    assert len(table.bad) == 3


def test_an_answer_that_is_an_object_is_json(tmp_path: Path) -> None:
    rows: list[Row] = [{"text": "t", "fields": {"人": "王"}}, {"text": "t", "fields": {}}, {"text": "t", "fields": 3}]
    path = sample_files.jsonl(rows, tmp_path / "a.jsonl")
    table = read(path, columns={"text": "input", "fields": "output"}, instruction="")
    assert [r.wanted for r in table.records] == ['{"人": "王"}'] and len(table.bad) == 2


def test_labels_option_names_tags(tmp_path: Path) -> None:
    path = sample_files.jsonl([{"text": "t", "labels": [0, 1]}, {"text": "t", "labels": [7]}], tmp_path / "a.jsonl")
    table = read(path, labels={"0": "joy", "1": "fear"})
    assert table.records == (Tagged("t", ("joy", "fear")),) and "is none of" in table.bad[0].reason


def test_inputs_of_every_kind(tmp_path: Path) -> None:
    for row, instruction, asked in (
        ({"question": "q"}, None, "q"), ({"question": "q", "answer": "a"}, "Do.", "Do.\nq"),
        ({"prompt": "p"}, None, "p"),
        ({"text": "t", "value": 3}, None, "t"),
    ):  # fmt: skip
        path = sample_files.write([row], "json", tmp_path)
        assert read_inputs(path, instruction=instruction).prompts == [asked]
    assert read_inputs(sample_files.write([{"messages": [U]}], "json", tmp_path)).prompts == [U["content"]]
    assert json.loads(read_inputs(sample_files.write([{"text": "t", "n": [1]}], "json", tmp_path)).rows[0]["n"]) == [1]
