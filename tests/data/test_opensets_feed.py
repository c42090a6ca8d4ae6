"""Rows of files as they come: lines, arrays, parquet, packed; a broken row is one row's fault."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.core.errors import LuthierError
from luthier.data.opensets import feed
from luthier.data.opensets.feed import Feed
from luthier.data.opensets.spec import Broken

ROWS = [{"text": "a\u2028b", "n": 1}, {"text": "梨 🍐", "n": [2.5, None]}, {"text": 'q"\\', "n": {}}]


def read(data: bytes, name: str = "rows.jsonl") -> list[Any]:
    """The rows, and for a broken one the key of its reason."""
    out = list(Feed(io.BytesIO(data), name, len(data)))
    return [row.reason.key if isinstance(row, Broken) else row for row in out]


def lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


@pytest.mark.parametrize("indent", [None, 4])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_an_array_gives_its_elements(indent: int | None, mark: bytes) -> None:
    assert read(mark + json.dumps(ROWS, indent=indent).encode(), "rows.json") == ROWS


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_lines_give_one_row_each(mark: bytes) -> None:
    assert read(mark + lines(ROWS[:1]) + b"\r\n\n" + lines(ROWS[1:]).rstrip()) == ROWS
    assert read(gzip.compress(lines(ROWS)), "rows.jsonl.gz") == ROWS
    assert read(lines(ROWS), "rows.json") == ROWS  # called an array, and none


def test_zst_is_unpacked_or_what_it_needs_is_said() -> None:
    try:
        import zstandard
    except ImportError:
        with pytest.raises(LuthierError, match="pip install zstandard"):
            read(b"(\xb5/\xfd", "rows.jsonl.zst")
    else:
        assert read(zstandard.compress(lines(ROWS)), "rows.jsonl.zst") == ROWS


def test_broken_lines_are_one_row_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MAX_BYTES", 100)
    data = b'{"a":1}\nnope\n{"a":"' + b"x" * 500 + b'"}\n' + b'{"a":"\xff"}\n' + b"[" * 90 + b'\n{"a":2'
    assert read(data) == [{"a": 1}, "set_no_json", "set_too_long", {"a": "\udcff"}, "set_no_json", "set_no_json"]
    assert read(b"[" * 99_000 + b"\n" + lines(ROWS), "rows.txt")[:1] == ["set_too_deep"]


def test_a_broken_element_is_passed_where_the_next_begins_a_line() -> None:
    good = json.dumps(ROWS, indent=2).encode()
    at = good.index(b"{", 10)
    assert read(good[:at] + b'{"a": x},\n  ' + good[at:], "rows.json") == [ROWS[0], "set_no_json", *ROWS[1:]]
    assert read(b'[{"a": 1}, {"a": x}, {"a": 2}]', "rows.json") == [{"a": 1}, "set_no_json"]
    assert read(good[:-4], "rows.json") == [*ROWS[:2], "set_cut"]
    assert read(b"[", "rows.json") == ["set_cut"] and read(b"[]", "rows.json") == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.dictionaries(st.text(max_size=4), st.text(max_size=30) | st.integers() | st.none(), max_size=3)),
    st.integers(1, 40), st.sampled_from([None, 1, 4]),
)  # fmt: skip
def test_where_a_reading_ends_changes_nothing(rows: list[Any], chunk: int, indent: int | None) -> None:
    """Seen failing with a number that ended where a reading did."""
    old = feed._CHUNK
    feed._CHUNK = chunk
    try:
        assert read(json.dumps(rows, indent=indent, ensure_ascii=False).encode(), "rows.json") == rows
        assert read(json.dumps([1234567, 12.5, *rows]).encode(), "rows.json") == [1234567, 12.5, *rows]
        assert read(lines(rows)) == rows
    finally:
        feed._CHUNK = old


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=80), st.sampled_from(["rows.json", "rows.jsonl"]), st.sampled_from([b"", b"[", b'[\n {"a":']))
def test_any_bytes_are_read_to_their_end(data: bytes, name: str, start: bytes) -> None:
    """Or are a pointer of Git LFS, which Hypothesis found in our own source."""
    if not (start + data).startswith(b"version https://git-lfs"):
        read(start + data, name)


@pytest.mark.parametrize("data", [gzip.compress(lines(ROWS), mtime=0)[:-9], b"\x1f\x8bnot gzip at all", b"plain"])
def test_a_damaged_file_is_said(data: bytes) -> None:
    with pytest.raises(LuthierError, match=r"rows\.jsonl\.gz: damaged .*fetch it once more"):
        read(data, "rows.jsonl.gz")


def test_a_pointer_of_git_lfs_is_said() -> None:
    with pytest.raises(LuthierError, match="git lfs pull"):
        read(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "rows.json")


def test_parquet_gives_rows_and_how_far_it_is(tmp_path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"text": ["一", "b", None], "n": [1, 2, 3]}), path)
    found = Feed(path.open("rb"), path.name, path.stat().st_size, path)
    assert list(found) == [{"text": "一", "n": 1}, {"text": "b", "n": 2}, {"text": None, "n": 3}] and found.share == 1
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(LuthierError, match=r"rows\.parquet: not a parquet file"):
        list(Feed(path.open("rb"), path.name, 9, path))


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_memory_stays_flat(name: str, tmp_path: Path) -> None:
    """20 MB of rows take less than 2 MB at any time. Seen failing with the whole array in memory."""
    path, row = tmp_path / name, json.dumps({"text": "x" * 1000})
    with path.open("w") as file:
        file.write("[\n" if name == "rows.json" else "")
        file.writelines(row + (",\n" if name == "rows.json" else "\n") for _ in range(20_000))
        file.write(row + ("]" if name == "rows.json" else ""))
    tracemalloc.start()
    try:
        assert sum(1 for _ in Feed(path.open("rb"), name, path.stat().st_size)) == 20_001
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()
