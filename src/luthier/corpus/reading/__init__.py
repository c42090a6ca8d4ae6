"""Files as documents, one file a kind; nothing is registered.

A member sets `ENDINGS` (of names, without .gz, .bz2, .zst, .xz behind them) and `KIND`, and has `read(source) ->
rows`: it yields `Row` for each document and `Bad` for what cannot be read, and goes on where it can. A file that breaks
off in the middle gives the documents before, and a `Bad` for the rest. Another package adds a kind by an entry point of
`luthier.reading`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import IO

from luthier.core import plugins
from luthier.core.errors import LuthierError
from luthier.core.phrases import of_error
from luthier.corpus.reading import packed
from luthier.io.places import local

PACKED = (".gz", ".bz2", ".zst", ".xz", ".lz4")
LARGEST = 64 << 20  # bytes of one document
CHUNK = 1 << 20  # bytes that are read at a time
TOO_LONG = f"a line of more than {LARGEST >> 20} MB"


@dataclass(frozen=True)
class Row:
    """A document. place: where in its file, "" for the whole. id: as the source names it, "" where it does not."""

    text: str
    place: str = ""
    id: str = ""
    kind: str = ""
    language: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Bad:
    """What is no document. reason: a word that it is counted under; detail: a sentence. place: as of a row."""

    reason: str
    detail: str = ""
    place: str = ""


@dataclass(frozen=True)
class Source:
    """A file. name: as paths of its documents begin. lines: whether a text file holds a document a line."""

    path: Path
    name: str
    lines: bool = False

    @property
    def ending(self) -> str:
        """Of the name, in lower case, without that of a packed file."""
        return ending(self.path)

    def open(self) -> IO[bytes]:
        """Its bytes, unpacked. Reading raises OSError or EOFError where a packed file is broken."""
        import bz2
        import gzip
        import lzma
        from typing import cast

        import pyarrow as pa

        ending = self.path.suffix.lower()
        if ending == ".gz":
            return cast(IO[bytes], gzip.open(self.path, "rb"))
        if ending == ".bz2":
            return cast(IO[bytes], bz2.open(self.path, "rb"))
        if ending == ".xz":
            return cast(IO[bytes], lzma.open(self.path, "rb"))
        codec = {".zst": "zstd", ".lz4": "lz4"}.get(ending)
        return cast(IO[bytes], pa.input_stream(str(self.path), compression=codec)) if codec else self.path.open("rb")

    def whole(self) -> bytes:
        """All its bytes. Raises LuthierError where that is more than a document may have."""
        with self.open() as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise TooLargeError(f"more than {LARGEST >> 20} MB: split it")
        return bytes(data)

    def each_line(self) -> Iterator[tuple[str, bytes | Bad]]:
        """Its lines with the place of each; one that is too large is bad. What stands before a fault of a packed file
        comes before it is raised."""
        number, rest, lost = 0, b"", False
        with self.open() as file:
            read = packed.reading(file)
            fault: Exception | None = None
            while fault is None:
                try:
                    chunk = read(CHUNK)
                except packed.FAULTS as error:
                    fault, chunk = error, b""
                *lines, rest = (rest + chunk).split(b"\n")
                if not chunk and fault is None and rest:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    number += 1
                    place = f"line {number}"
                    large = lost or len(line) > LARGEST
                    yield place, Bad("too_large", TOO_LONG, place) if large else line
                    lost = False
                if len(rest) > LARGEST:
                    rest, lost = b"", True
                if not chunk:
                    break
        if fault:
            raise fault


class TooLargeError(LuthierError):
    """A file that would be one document, and too large for one."""


def ending(path: Path) -> str:
    """Of a name, in lower case, without that of a packed file."""
    name = path.name.lower()
    for suffix in PACKED:
        name = name.removesuffix(suffix)
    return Path(name).suffix


@cache
def kinds() -> dict[str, plugins.Plugin]:
    """Ending -> the module that reads it."""
    found = plugins.members("reading")
    return {ending: member for member in found.values() for ending in member.constants.get("ENDINGS", ())}


def rows_of(source: Source) -> Iterator[Row | Bad]:
    """The documents of a file, and what is wrong with it; raises nothing for a file's faults.

    Raises OSError where it cannot be had from its address.
    """
    with local(source.path) as path:
        yield from _rows_of(replace(source, path=path))


def _rows_of(source: Source) -> Iterator[Row | Bad]:
    member = kinds()[source.ending]
    nothing = True
    try:
        for found in member.load("read")(source):
            nothing = False
            yield _checked(found)
        if nothing:
            yield Bad("empty", "nothing in it is a document")
    except TooLargeError as error:
        yield Bad("too_large", str(error))
    except packed.FAULTS as error:
        yield Bad("broken_file", of_error(error) if isinstance(error, OSError) else str(error))
    except LuthierError as error:
        yield Bad("unreadable", str(error))
    except BaseException as error:  # whatever a format's library stumbles over; Rust's panics are no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        yield Bad("unreadable", f"{type(error).__name__}: {' '.join(str(error).split())[:120]}")


def whole(text: str) -> str:
    """The text without half characters, which no file can hold."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def size_of(text: str) -> int:
    """Bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _checked(found: Row | Bad) -> Row | Bad:
    if isinstance(found, Bad):
        return Bad(found.reason, whole(found.detail), whole(found.place))
    values = {name: whole(value) for name, value in found.__dict__.items()}
    row = found if all(values[name] is value for name, value in found.__dict__.items()) else Row(**values)
    if not row.text.strip():
        return Bad("empty", "", row.place)
    if 4 * len(row.text) > LARGEST and size_of(row.text) > LARGEST:
        return Bad("too_large", f"{len(row.text):,} characters in one document", row.place)
    return row
