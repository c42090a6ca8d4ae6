"""Files as documents, one file a kind; nothing is registered.

A member sets `ENDINGS` (of names, without .gz, .bz2, .zst, .xz behind them) and `KIND`, and has `read(source) ->
rows`: it yields `Row` for each document and `Bad` for what cannot be read, and goes on where it can. A file that breaks
off in the middle gives the documents before, and a `Bad` for the rest. Another package adds a kind by an entry point of
`luthier.reading`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from luthier.core import plugins
from luthier.core.errors import LuthierError
from luthier.core.phrases import of_error

PACKED = (".gz", ".bz2", ".zst", ".xz", ".lz4")
LARGEST = 64 << 20  # bytes of one document


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
        packed = {".zst": "zstd", ".lz4": "lz4"}.get(ending)
        return cast(IO[bytes], pa.input_stream(str(self.path), compression=packed)) if packed else self.path.open("rb")

    def whole(self) -> bytes:
        """All its bytes. Raises LuthierError where that is more than a document may have."""
        with self.open() as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise TooLargeError(f"more than {LARGEST >> 20} MB: split it")
        return bytes(data)

    def each_line(self) -> Iterator[tuple[str, bytes | Bad]]:
        """Its lines with the place of each; one that is too large is bad, and read in parts."""
        number = 0
        with self.open() as file:
            while line := file.readline(LARGEST):
                number += 1
                place = f"line {number}"
                if len(line) < LARGEST or line.endswith(b"\n"):
                    yield place, line
                    continue
                while (rest := file.readline(LARGEST)) and not rest.endswith(b"\n"):
                    pass
                yield place, Bad("too_large", f"a line of more than {LARGEST >> 20} MB", place)


class TooLargeError(LuthierError):
    """A file that would be one document, and too large for one."""


def ending(path: Path) -> str:
    """Of a name, in lower case, without that of a packed file."""
    name = path.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return Path(name).suffix


@cache
def kinds() -> dict[str, plugins.Plugin]:
    """Ending -> the module that reads it."""
    found = plugins.members("reading")
    return {ending: member for member in found.values() for ending in member.constants.get("ENDINGS", ())}


def rows_of(source: Source) -> Iterator[Row | Bad]:
    """The documents of a file, and what is wrong with it; raises nothing for a file's faults."""
    member = kinds()[source.ending]
    try:
        for found in member.load("read")(source):
            yield _checked(found) if isinstance(found, Row) else found
    except TooLargeError as error:
        yield Bad("too_large", str(error))
    except (OSError, EOFError) as error:
        yield Bad("broken_file", of_error(error))
    except LuthierError as error:
        yield Bad("unreadable", str(error))
    except Exception as error:  # whatever a format's library stumbles over in a damaged file
        yield Bad("unreadable", f"{type(error).__name__}: {' '.join(str(error).split())[:120]}")


def _checked(row: Row) -> Row | Bad:
    if not row.text.strip():
        return Bad("empty", "", row.place)
    if len(row.text) > LARGEST or len(row.text.encode("utf-8", "replace")) > LARGEST:
        return Bad("too_large", f"{len(row.text):,} characters in one document", row.place)
    return row
