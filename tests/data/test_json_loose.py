"""JSON as people and Python write it: several objects a line or lines an object, comments, trailing commas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.core.records import Labelled
from luthier.data.formats import load
from luthier.data.read import Table, read

STREAM = "objects over several lines, or several on one, are read one after another"
ROWS = [{"text": f"行 {i}\u2028{{,}}", "label": "xy"[i % 2]} for i in range(4)]
RECORDS = tuple(Labelled(row["text"], row["label"]) for row in ROWS)


def read_text(path: Path, text: str) -> Table:
    path.write_text(text, encoding="utf-8", newline="")
    return read(path)


def plain(row: Any, **options: Any) -> str:
    return json.dumps(row, ensure_ascii=False, **options)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_objects_one_after_another(tmp_path: Path, name: str) -> None:
    """Lines are those on which objects begin. Seen failing with the line of a concatenated object's end."""
    table = read_text(tmp_path / name, "\n".join(plain(row, indent=2) for row in ROWS))
    assert table.records == RECORDS and table.lines == (1, 5, 9, 13) and table.notes == (f"{name}: {STREAM}",)
    table = read_text(tmp_path / name, "".join(map(plain, ROWS)))
    assert table.records == RECORDS and table.lines == (1, 1, 1, 1)
    table = read_text(tmp_path / name, ",\r\n".join(plain(row, indent=1) for row in ROWS) + "\r\n")
    assert table.records == RECORDS and table.lines == (1, 5, 9, 13)
    mixed = f"{plain(ROWS[0])}\n\n{plain(ROWS[1])} {plain(ROWS[2])}\n{plain(ROWS[3])}\n"
    table = read_text(tmp_path / name, mixed)
    assert table.records == RECORDS and table.lines == (1, 3, 3, 4)


def test_a_broken_object_among_indented_ones_is_bad_alone(tmp_path: Path) -> None:
    parts = [plain(row, indent=2) for row in ROWS]
    parts[1] = '{\n  "text": "t\n  "label": \n}'
    table = read_text(tmp_path / "a.jsonl", "\n".join(parts))
    assert table.lines == (1, 9, 13) and [bad.line for bad in table.bad] == [5]
    assert table.bad[0].reason.startswith("not JSON: ")


def test_an_array_in_lines_of_its_own(tmp_path: Path) -> None:
    table = read_text(tmp_path / "a.jsonl", "[\n" + ",\n".join(map(plain, ROWS)) + "\n]\n")
    assert table.records == RECORDS and table.lines == (2, 3, 4, 5) and not table.bad
    assert table.notes == ("a.jsonl: one array, not one object a line: read as .json is",)
    table = read_text(tmp_path / "b.jsonl", "".join(f"{plain(row)},\n" for row in ROWS))
    assert table.records == RECORDS and table.lines == (1, 2, 3, 4) and table.notes == (f"b.jsonl: {STREAM}",)


def test_lines_stay_lines(tmp_path: Path) -> None:
    """Where reading object after object gains nothing, each broken line is bad alone."""
    table = read_text(tmp_path / "a.jsonl", f"{plain(ROWS[0])}\noops\n{plain(ROWS[1])} junk\nnope\n{plain(ROWS[2])}\n")
    assert table.lines == (1, 5) and [bad.line for bad in table.bad] == [2, 3, 4] and not table.notes


def test_comments(tmp_path: Path) -> None:
    lines = [plain(row) for row in ROWS]
    for name, text, first in (
        ("a.json", f"// exported\n/* by\n us */ [{','.join(lines)}]", 3),
        ("a.json", "[\n" + " // one\n,\n".join(lines) + "\n# end\n]", 2),
        ("a.jsonl", "# exported\n" + "\n".join(lines), 2),
        ("a.jsonl", "// exported\n" + "\n".join(lines), 2),
    ):
        table = read_text(tmp_path / name, text)
        assert table.records == RECORDS and table.lines[0] == first, text
        assert table.notes == (f"{name}: comments are left out",)
    table = read_text(tmp_path / "b.json", '[{"text": "see http://x.y", /* a "note" */ "label": "x" // why\n}]')
    assert table.records == (Labelled("see http://x.y", "x"),) and "comments or trailing commas" in table.notes[0]


def test_trailing_commas(tmp_path: Path) -> None:
    rows = [plain(row, indent=2).replace("\n}", ",\n}") for row in ROWS]
    text = "[\n" + ",\n".join(rows) + ",\n]\n"
    table = read_text(tmp_path / "a.json", text)
    assert table.records == RECORDS and table.lines == (2, 6, 10, 14)
    assert table.notes == ("a.json: rows are written with comments or trailing commas, which JSON has not: 4",)
    table = read_text(tmp_path / "a.jsonl", '{"text": "a,}", "labels": ["x",],}\n{"text": "b", "labels": ["y"]}\n')
    assert [record.wanted for record in table.records] == ["x", "y"] and table.notes[0].endswith("JSON has not: 1")


def test_python_literals(tmp_path: Path) -> None:
    rows = [{"text": 'it\'s "so"', "label": True}, {"text": "b", "label": "x", "n": None}, {"text": "c", "label": 1}]
    wanted = (Labelled('it\'s "so"', "true"), Labelled("b", "x"), Labelled("c", "1"))
    for name, text, lines in (
        ("a.jsonl", "\n".join(map(repr, rows)), (1, 2, 3)),
        ("a.json", "[\n" + ",\n".join(map(repr, rows)) + "]", (2, 3, 4)),
        ("a.json", repr(rows), (1, 1, 1)),
    ):
        table = read_text(tmp_path / name, text)
        assert table.records == wanted and table.lines == lines
        assert table.notes == (f"{name}: rows are written as Python writes them, in single quotes, not as JSON: 3",)
    for bad in (
        "{'text': __import__('os'), 'label': 'x'}",
        "{'text': b'x', 'label': 'x'}",
        "{'text': nan, 'label': ''}",
    ):
        table = read_text(tmp_path / "b.jsonl", f"{plain(ROWS[0])}\n{bad}\n")
        assert table.lines == (1,) and table.bad[0].reason.startswith("not JSON: Expecting property name")


def test_what_is_not_a_number_spoils_its_row_alone(tmp_path: Path) -> None:
    for value in ("NaN", "Infinity", "-Infinity"):
        table = read_text(
            tmp_path / "a.jsonl", f'{plain(ROWS[0])}\n{{"text": "b", "label": {value}}}\n{plain(ROWS[1])}'
        )
        assert table.lines == (1, 3) and table.bad[0].reason == f"not JSON: {value} is not a JSON value"


def test_many_broken_rows_take_linear_time(tmp_path: Path) -> None:
    table = read_text(tmp_path / "a.json", "[\n" + plain(ROWS[0]) + ",\n" + "{'a': [{,\n" * 20_000 + "]")
    assert table.lines == (2,) and len(table.bad) == 20_000


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=10).map(lambda text: f"t{text}")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    rows=st.lists(st.fixed_dictionaries({"text": TEXTS, "more": st.lists(TEXTS, max_size=2)}), min_size=1, max_size=6),
    indent=st.sampled_from([None, 0, 2]),
    between=st.sampled_from(["\n", "", " ", "\r\n\r\n", ",\n"]),
    name=st.sampled_from(["a.jsonl", "a.json"]),
)
def test_what_json_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], indent: int | None, between: str, name: str
) -> None:
    path = tmp_path_factory.mktemp("json") / name
    path.write_bytes(between.join(plain(row, indent=indent) for row in rows).encode())
    found = load(path).rows
    assert [row.columns for row in found] == rows
    at, expected = 1, []
    for row in rows:
        expected.append(at)
        at += (plain(row, indent=indent) + between).count("\n")
    assert [row.line for row in found] == expected
