"""Files of every format, broken at random: no traceback, and rows in = kept + dropped."""

from __future__ import annotations

import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import sample_files
from luthier.core.errors import LuthierError
from luthier.data.formats import load
from luthier.data.read import read, read_inputs
from luthier.data.source import decode
from luthier.data.task import supervised

ROWS: list[list[dict[str, Any]]] = [
    [{"text": f"好 text {i}", "label": "xy"[i % 2]} for i in range(4)],
    [{"text": "t", "labels": ["a", "b"][: i % 3]} for i in range(4)],
    [{"text": "t", "value": i / 2} for i in range(4)],
    [{"prompt": "p", "completion": "c", "label": bool(i % 2)} for i in range(4)],
    [{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": f"a{i}"}]} for i in range(4)],
    [{"conversations": [{"from": "human", "value": "u"}, {"from": "gpt", "value": f"a{i}"}]} for i in range(4)],
    [{"prompt": "p", "chosen": [{"role": "assistant", "content": "a"}], "rejected": "b"} for i in range(4)],
]
NAMES = ("text", "label", "labels", "value", "prompt", "completion", "chosen", "rejected", "messages", "conversations")
ODD = st.sampled_from(["\ud83d", "\0", ""])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | ODD
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "from", "value", "x"]), inner, max_size=3)
        | st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "x"]), "content": SCALARS}))
    ),
    max_leaves=6,
)
ENCODINGS = ("utf-8", "utf-16", "utf-8-sig", "gb18030", "latin-1", "utf-32")


@cache
def whole(kind: str, number: int) -> tuple[str, bytes]:
    """A good file's name and bytes."""
    where = Path(mkdtemp())
    rows = ROWS[number] if kind != "parquet" or number != 6 else ROWS[0]  # a column of two types is none of Arrow's
    path = sample_files.write(rows, kind, where)
    data = path.read_bytes()
    shutil.rmtree(where)
    return path.name, data


@st.composite
def broken_bytes(draw: st.DrawFn) -> tuple[str, bytes]:
    """A good file with bytes changed, taken out, put in, or the end cut off."""
    kind = draw(st.sampled_from(["jsonl", "json", "json object", "csv", "tsv", "parquet"]))
    name, start = whole(kind, draw(st.integers(0, len(ROWS) - 1)))
    data = bytearray(start)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(0, 8))
        data[at : at + length] = draw(st.binary(max_size=8) | st.sampled_from([b'"', b"\n", b"{", b"]", b",", b"\xff"]))
    return name, bytes(data[: draw(st.integers(0, len(data)) | st.just(len(data)))])


@st.composite
def broken_types(draw: st.DrawFn) -> tuple[str, bytes]:
    """Rows with values of any type under known names, in any encoding."""
    import json

    rows = draw(st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4) | VALUES, max_size=6))
    kind = draw(st.sampled_from(["jsonl", "json", "txt"]))
    if kind == "json":
        text = json.dumps(rows, indent=draw(st.sampled_from([None, 1])))
    else:
        text = "\n".join(json.dumps(row) for row in rows)
    return f"a.{kind}", text.encode(draw(st.sampled_from(ENCODINGS)), "replace")


def check(name: str, data: bytes, where: Path) -> None:
    path = where / name
    path.write_bytes(data)
    try:
        table = read(path)
    except LuthierError as error:
        assert str(path) in str(error) and str(error).encode()
    else:
        assert len(table.records) + len(table.bad) == len(load(path).rows)
        if path.suffix == ".jsonl":  # counted in another way: every line that holds anything lies in a row
            inside = {n for row in load(path).rows for n in range(row.line, row.line + row.raw.count("\n") + 1)}
            lines = decode(path).text.split("\n")
            assert {n for n, line in enumerate(lines, 1) if line.strip()} <= inside
        assert all(bad.reason and bad.line > 0 and bad.raw.encode() is not None for bad in table.bad)
        assert not {*table.lines} & {bad.line for bad in table.bad} or name == "a.json"
        for record in supervised(table)[0].records:
            assert isinstance(record.wanted.encode(), bytes)
    with suppress(LuthierError):
        read_inputs(path)


@settings(max_examples=100, deadline=None, derandomize=True)
@example(("a.jsonl", b'{"text": "t", "label": "x"}\n{"text": "t", "label": "a\\ud83d"}'))
@given(file=broken_bytes() | broken_types())
def test_broken_files(tmp_path_factory: pytest.TempPathFactory, file: tuple[str, bytes]) -> None:
    """Seen failing with half a character let through, and with rows that are not JSON left out of `bad`."""
    where = tmp_path_factory.mktemp("broken")
    check(*file, where)
    shutil.rmtree(where)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(file=broken_bytes() | broken_types())
def test_a_thousand_broken_files(tmp_path_factory: pytest.TempPathFactory, file: tuple[str, bytes]) -> None:
    where = tmp_path_factory.mktemp("broken")
    check(*file, where)
    shutil.rmtree(where)
