"""LaTeX: a document with its inputs, formulas as they are; archives of sources (arXiv's), one or many papers in each.

Inputs are taken from the file's own folder and below, or from the archive, which is never unpacked to disk.
"""

from __future__ import annotations

import gzip
import io
import posixpath
import re
import tarfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, cast

from luthier.core.errors import LuthierError
from luthier.corpus.reading import LARGEST, Bad, Row, Source, TooLargeError
from luthier.corpus.reading.packed import FAULTS
from luthier.corpus.reading.tex import Find, body, is_main, names
from luthier.data.encoding import document

ENDINGS = (".tex", ".ltx", ".tar", ".tgz")
KIND = "latex"
TEX = (".tex", ".ltx")
_PAPER = re.compile(r"(?:.*/)?(?:\d{4}\.\d{4,5}|[a-z-]*\d{7})(?:v\d+)?\.pdf")  # one without sources


def read(source: Source) -> Iterator[Row | Bad]:
    if source.ending in TEX:
        yield _row(document(source.whole())[0], _beside(source.path))
        return
    with gzip.open(source.path) if source.ending == ".tgz" else source.open() as file:
        yield from _archive(cast(IO[bytes], file))


def _row(text: str, find: Find, place: str = "") -> Row | Bad:
    try:
        found = body(text, find)
    except TooLargeError as error:
        return Bad("too_large", str(error), place)
    if not found:
        return Bad("no_document", r"no \begin{document}: a part of another file", place)
    return Row(found, place, kind=KIND)


def _beside(path: Path) -> Find:
    """Finds inputs in a file's folder and below, but for the file itself."""
    folder, own = path.parent, path.resolve()
    top = folder.resolve()

    def find(name: str) -> str | None:
        for named in (folder / name, folder / f"{name}.tex"):
            try:
                real = named.resolve()
                if real == own or not real.is_relative_to(top):
                    continue
                if real.suffix.lower() in (*TEX, ".bbl", ".txt") and real.is_file():
                    return document(Source(real, "").whole())[0]
            except (OSError, ValueError, LuthierError):
                continue
        return None

    return find


class _Forward:
    """A stream that tarfile may only read on, and never much at once. last: what was read last. ended: all is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.at, self.back, self.spent, self.last, self.ended = file, 0, False, 0, b"", False

    def read(self, size: int) -> bytes:
        self.spent += size
        if size > LARGEST or self.spent > 2 * LARGEST:
            raise TooLargeError(f"a member's header of more than {LARGEST >> 20} MB")
        kept = self.last[-1:] if self.back else b""
        parts, left = [kept], size - len(kept)
        while left > 0 and (data := self.file.read(left)):
            parts.append(bytes(data))
            left -= len(data)
        found = b"".join(parts)
        self.back, self.last, self.ended = False, found or self.last, left > 0
        self.at += len(found)
        return found

    def tell(self) -> int:
        return self.at

    def seek(self, to: int) -> int:
        """On, or back by one: tarfile looks at the last byte that it passed."""
        if to == self.at - 1 and self.last and not self.back:
            self.back, self.at = True, to
        elif to < self.at:
            raise OSError("an archive's member begins before the last one's end")
        while self.at < to and self.read(min(to - self.at, 1 << 20)):
            self.spent = 0
        return self.at


def _members(file: IO[bytes]) -> Iterator[tuple[str, bytes | None]]:
    """Members of an archive that may be TeX, or packed TeX; None for what is not read. Raises tarfile.TarError."""
    stream = _Forward(file)
    with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r:") as archive:
        while (member := archive.next()) is not None:
            vars(archive)["members"] = []  # it keeps all otherwise
            stream.spent = 0
            name = posixpath.normpath(member.name.encode("utf-8", "replace").decode())
            if not member.isreg():
                continue
            if name.lower().endswith((*TEX, ".gz")):
                if member.size > LARGEST:
                    yield name, None
                    continue
                data = archive.extractfile(member)
                yield name, data.read() if data else b""
            elif _PAPER.fullmatch(name):
                yield name, None
    if stream.ended or any(stream.last):  # no zeros at its end
        raise tarfile.ReadError("it breaks off")


def _archive(file: IO[bytes], place: str = "") -> Iterator[Row | Bad]:
    """The papers of an archive. place: where it stands itself, if it stands in another."""
    files: dict[str, str] = {}
    size = count = 0
    fault: Bad | None = None
    try:
        for name, data in _members(file):
            if data is None:
                yield Bad("not_text" if name.endswith(".pdf") else "too_large", "", _at(place, name))
                count += 1
            elif name.lower().endswith(".gz") and not place:
                yield from _packed(data, name)
                count += 1
            elif name.lower().endswith(TEX):
                size += len(data)
                if size > LARGEST:
                    raise TooLargeError(f"TeX files of together more than {LARGEST >> 20} MB")
                try:
                    files[name] = document(data)[0]
                except LuthierError as error:
                    yield Bad("unreadable", str(error), _at(place, name))
                    count += 1
    except (tarfile.TarError, *FAULTS) as error:
        fault = Bad("broken_file", f"what follows is lost: {error}", place)
    for found in _papers(files, place):
        yield found
        count += 1
    if fault is not None:
        yield fault
    elif not count:
        yield Bad("no_document", "no TeX with a document class in it: unpack it", place)


def _packed(data: bytes, name: str) -> Iterator[Row | Bad]:
    """A member that is itself packed: one file of TeX, or an archive."""
    try:
        inner = zlib.decompressobj(31).decompress(data, LARGEST + 1)
    except zlib.error as error:
        yield Bad("broken_file", str(error), name)
        return
    if len(inner) > LARGEST:
        yield Bad("too_large", f"more than {LARGEST >> 20} MB", name)
    elif inner[257:262] == b"ustar":
        try:
            yield from _archive(io.BytesIO(inner), name)
        except TooLargeError as error:
            yield Bad("too_large", str(error), name)
    else:
        try:
            yield _row(document(inner)[0], lambda name: None, name)
        except LuthierError as error:
            yield Bad("unreadable", str(error), name)


def _papers(files: dict[str, str], place: str) -> Iterator[Row | Bad]:
    """A document for each file with a document class that no other one puts in."""
    mains = sorted(name for name, text in files.items() if is_main(text))
    used = {name for main in mains for each in names(files[main]) if (name := _file(files, main, each)) != main}
    made = 0
    for main in mains:
        if main in used:
            continue
        if made > 4 * LARGEST:
            yield Bad("too_large", "the papers before it put in the same files again and again", _at(place, main))
            continue
        found = _row(files[main], partial(_input, files, main), _at(place, main))
        made += len(found.text) if isinstance(found, Row) else 0
        yield found


def _input(files: dict[str, str], main: str, name: str) -> str | None:
    found = _file(files, main, name)
    return files[found] if found and found != main else None


def _file(files: dict[str, str], main: str, name: str) -> str:
    """The name of an input in the archive, "" where it is not there."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(main), name))
    return next((each for each in (path, f"{path}.tex") if each in files), "")


def _at(place: str, name: str) -> str:
    return f"{place}/{name}" if place else name
