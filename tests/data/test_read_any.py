"""Files made at random: whatever comes, every row is kept or named as bad, and nothing else is raised."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.core.errors import LuthierError
from luthier.core.records import Labelled
from luthier.data.formats import load
from luthier.data.read import read

NUMBERS = {"columns": {"0": "text", "1": "label"}}
GOOD = '{"text": "t", "label": "x"}'
TABLES = [
    GOOD,
    "text,label",
    "text\tlabel",
    "text;label",
    '{"text":',
    "a,b",
    "a\tb",
    '"a ""b"" c",d',
    '"',
    '""',
    ",",
    ";",
]
ODD = ["\t", "\r", "\x00", "\u2028", "\ufeff", "[", "{}", "null", "1e999", '{"text":"\\ud800","label":-0.0}', "长,文"]
BROKEN_FILES = st.lists(st.sampled_from([*TABLES, *ODD]) | st.text(max_size=8) | st.binary(max_size=6), max_size=30)


def plain(text: str) -> bool:
    return "\0" not in text and bool(text.strip().strip("\u200b\u200c\u200d\u2060\ufeff").strip())


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    pieces=BROKEN_FILES,
    ends=st.lists(st.sampled_from(["\n", "\n", "\r\n", ""]), min_size=30, max_size=30),
    extension=st.sampled_from(["jsonl", "csv", "tsv"]),
    numbered=st.booleans(),
)
def test_whatever_comes_no_row_is_lost(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str | bytes], ends: list[str], extension: str, numbered: bool
) -> None:
    data = b"".join(
        (piece if isinstance(piece, bytes) else piece.encode("utf-8", "surrogatepass")) + end.encode()
        for piece, end in zip(pieces, ends, strict=False)
    )
    header = {"jsonl": GOOD + "\n", "csv": "text,label\nt,x\n", "tsv": "text\tlabel\nt\tx\n"}[extension]
    folder = tmp_path_factory.mktemp("any")
    for name, content in (("raw", data), ("headed", header.encode() + data)):
        path = folder / f"{name}.{extension}"
        path.write_bytes(content)
        try:
            table = read(path, columns=NUMBERS["columns"] if numbered and extension != "jsonl" else {})
        except LuthierError as error:
            str(error).encode()
            continue
        seen = sorted([*table.lines, *(bad.line for bad in table.bad)])
        lines = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split("\n")
        nothing = {"jsonl": "", "csv": ',;|"', "tsv": ""}[extension]  # what a row of nothing may be written with
        full = [n for n, line in enumerate(lines, 1) if "".join(line.split()).strip(nothing)]
        if extension == "jsonl":  # comments are left out, and said
            full = [n for n in full if not lines[n - 1].lstrip(" \ufeff").startswith(("#", "//"))]
        headed = extension != "jsonl" and not numbered
        rows = load(path, NUMBERS["columns"] if numbered and extension != "jsonl" else ()).rows
        assert seen == [row.line for row in rows]
        inside = [n for row in rows for n in range(row.line, row.line + row.raw.count("\n") + 1)]
        if extension == "tsv":
            above = full[: len(full) - len(seen)]
            assert seen == full[len(above) :]
            assert len(above) == headed or lines[above[-1] - 1].strip() == "text\tlabel"
        else:  # a quoted text or an object may span lines: every line that holds anything lies in one row
            start = inside[0] if headed else 1
            assert {n for n in full if n >= start} <= set(inside)
            assert extension == "jsonl" or len(set(inside)) == len(inside)
        for bad in table.bad:
            bad.raw.encode()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    rows=st.lists(
        st.tuples(st.text(st.characters(codec="utf-8"), min_size=1), st.sampled_from(["x", "y z", "标签"])),
        min_size=1,
        max_size=8,
    ).filter(lambda rows: plain(rows[0][0])),
    separator=st.sampled_from([",", ";"]),
)
def test_csv_reads_what_csv_writes(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], separator: str
) -> None:
    sink = io.StringIO()
    csv.writer(sink, delimiter=separator, quoting=csv.QUOTE_ALL).writerows([("text", "label"), *rows])
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(sink.getvalue().encode())
    table = read(path)
    assert len(table.records) + len(table.bad) == len(rows)
    found = [record.text for record in table.records if isinstance(record, Labelled)]
    assert found == [text.replace("\r\n", "\n") for text, _ in rows if plain(text)]
