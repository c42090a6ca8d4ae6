"""Rows of one file as they come: JSON lines, a JSON array, parquet; packed as .gz or .zst. Memory stays flat.

What cannot be read where a row should be is `Broken`, with the reason; reading goes on behind it
where that can be told.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.data.opensets.spec import Broken
from luthier.data.source import MAX_BYTES

_CHUNK = 2**16
_NEAR = 16  # characters from the end of what has been read: what is wrong there may be mended by what follows


class Counted(io.RawIOBase):
    """A stream of bytes that counts what was read of it."""

    def __init__(self, inner: IO[bytes], size: int) -> None:
        self.inner, self.size, self.read_bytes = inner, size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.inner.read(len(buffer))
        buffer[: len(data)] = data
        self.read_bytes += len(data)
        return len(data)

    def close(self) -> None:
        self.inner.close()
        super().close()

    @property
    def share(self) -> float:
        """How much of it has been read, from 0 to 1; 0 where its size is not known."""
        return min(self.read_bytes / self.size, 1.0) if self.size else 0.0


class Feed:
    """The rows of a file. name: of the file, which says how it is laid out; path: where it lies, None for a stream."""

    def __init__(self, stream: IO[bytes], name: str, size: int, path: Path | None = None) -> None:
        self.stream, self.name, self.path = Counted(stream, size), name, path
        self._share = 0.0

    @property
    def share(self) -> float:
        """How much of the file has been read, from 0 to 1."""
        return max(self._share, self.stream.share)

    def __iter__(self) -> Iterator[Any]:
        try:
            if self.name.endswith(".parquet"):
                yield from self._parquet()
            else:
                yield from _rows(_unpacked(io.BufferedReader(self.stream), self.name), self.name)
        except (zlib.error, EOFError, gzip.BadGzipFile) as error:
            raise LuthierError(f"{self.name}: damaged ({error}): fetch it once more") from None
        finally:
            self.stream.close()

    def _parquet(self) -> Iterator[Any]:
        try:
            import pyarrow as pa
            import pyarrow.parquet as parquet
        except ImportError:
            raise LuthierError(f"{self.name}: reading parquet needs pyarrow: pip install pyarrow") from None
        from luthier.data.columnar import ROWS_AT_ONCE, rows_of

        assert self.path is not None
        try:
            with parquet.ParquetFile(self.path) as file:
                for at, row in enumerate(rows_of(file.iter_batches(ROWS_AT_ONCE), {}), 1):
                    self._share = at / file.metadata.num_rows
                    yield Broken(say("set_no_cell")) if row.reason else row.columns
        except (pa.ArrowException, OSError) as error:
            raise LuthierError(f"{self.name}: not a parquet file that can be read: {error}") from None


def _unpacked(stream: io.BufferedReader, name: str) -> io.BufferedReader:
    if name.endswith(".gz"):
        return io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=stream)))
    if name.endswith(".zst"):
        try:
            import zstandard
        except ImportError:
            raise LuthierError(f"{name}: unpacking .zst needs zstandard: pip install zstandard") from None
        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True))
    return stream


def _rows(stream: io.BufferedReader, name: str) -> Iterator[Any]:
    start = stream.peek(_CHUNK)[:_CHUNK]
    if start.startswith(b"version https://git-lfs"):
        raise LuthierError(f"{name} is a pointer of Git LFS, not the file itself: git lfs pull")
    array = start.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"["
    yield from _elements(_Text(stream)) if array else _lines(stream)


def _lines(stream: io.BufferedReader) -> Iterator[Any]:
    first = True
    while line := stream.readline(MAX_BYTES + 1):
        if len(line) > MAX_BYTES:
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_BYTES)
            yield Broken(say("set_too_long"))
            continue
        text = line.decode("utf-8", "surrogateescape").strip(" \t\r\n")
        text, first = text.removeprefix("\ufeff") if first else text, False
        if text:
            yield _value(text)


def _value(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except RecursionError:
        return Broken(say("set_too_deep"))
    except ValueError:  # also an integer of thousands of digits
        return Broken(say("set_no_json"))


class _Text:
    """What has been read of an array and not used yet."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self.stream, self.decoder = stream, codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.text, self.at, self.ended = "", 0, False
        self.more()
        self.text = self.text.removeprefix("\ufeff")

    def more(self) -> None:
        """Read as much again as is there, and forget what was used, up to the line's begin."""
        data = self.stream.read(max(_CHUNK, len(self.text) - self.at))
        self.ended = not data
        line = self.text.rfind("\n", 0, self.at)
        begin = line if line >= 0 and self.text[line : self.at].isspace() else self.at
        self.text = self.text[begin:] + self.decoder.decode(data, self.ended)
        self.at -= begin

    def next(self) -> str:
        """The character where the next value begins, white space and commas passed; "" at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in " \t\r\n,":
                self.at += 1
            if self.at < len(self.text) or self.ended:
                return self.text[self.at : self.at + 1]
            self.more()


def _elements(found: _Text) -> Iterator[Any]:
    """The elements of an array; a broken one is passed where lines are laid out so that the next can be found."""
    decoder = json.JSONDecoder(strict=False)
    found.next()
    found.at += 1
    while (first := found.next()) != "]":
        if not first:
            yield Broken(say("set_cut"))
            return
        try:
            value, end = decoder.raw_decode(found.text, found.at)
            if end > len(found.text) - _NEAR and not found.ended:
                found.more()  # a number may go on: 12, 12., 12.5
                continue
            found.at = end
            yield value
        except RecursionError:
            yield Broken(say("set_too_deep"))
            if not _passed(found):
                return
        except ValueError as error:
            if not found.ended and _unfinished(error, found):
                found.more()
                continue
            yield Broken(say("set_cut" if _unfinished(error, found) else "set_no_json"))
            if not _passed(found):
                return


def _unfinished(error: ValueError, found: _Text) -> bool:
    """Whether what is wrong may be that the value has not been read to its end."""
    if len(found.text) - found.at > MAX_BYTES or not isinstance(error, json.JSONDecodeError):
        return False
    near = 0 if found.ended else _NEAR
    return error.msg.startswith("Unterminated string") or error.pos >= len(found.text) - near


def _passed(found: _Text) -> bool:
    """Go to the next element that begins its line as the broken one does. False where there is none."""
    start = found.text.rfind("\n", 0, found.at) + 1
    indent = found.text[start : found.at]
    if not start or indent.strip():
        return False
    found.at += 1
    while True:
        if (at := found.text.find(f"\n{indent}{{", found.at)) >= 0:
            found.at = at + 1
            return True
        if found.ended:
            return False
        found.at = max(found.at, len(found.text) - len(indent) - 2)  # an edge may lie between two readings
        found.more()
