"""E-books: the chapters of an EPUB in their order are one document, its title first.

Pictures and fonts are not unpacked; what is, is counted before, so that a small file cannot fill the memory.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO
from urllib.parse import unquote

from luthier.core.errors import LuthierError
from luthier.corpus.reading import LARGEST, Bad, Row, Source, TooLargeError
from luthier.corpus.reading.html import page_of, text_of, two_letters
from luthier.corpus.reading.xml_events import BrokenError, events

ENDINGS = (".epub",)
KIND = "epub"
CONTAINER, LOCKS = "META-INF/container.xml", "META-INF/encryption.xml"
DIRECTORY = 8 << 20  # bytes of a zip file's list of members
PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


@dataclass
class _Book:
    """What a book's package says of it. chapters: names of members in the order of reading."""

    said: dict[str, str] = field(default_factory=dict)
    chapters: list[str] = field(default_factory=list)


def read(source: Source) -> Iterator[Row | Bad]:
    bare = source.path.suffix.lower() == ".epub"
    with source.path.open("rb") if bare else io.BytesIO(source.whole()) as file:
        _check_directory(file)
        try:
            with zipfile.ZipFile(file) as archive:
                yield from _book(archive)
        except (zipfile.BadZipFile, zlib.error, BrokenError, NotImplementedError, ValueError) as error:
            yield Bad("broken_file", f"no whole EPUB: {error}")


def _check_directory(file: IO[bytes]) -> None:
    """Refuse a list of members that is too long: zipfile reads all of it at once. Raises TooLargeError."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - (1 << 16) - 22))
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at >= 0 and int.from_bytes(tail[at + 12 : at + 16], "little") > DIRECTORY:
        raise TooLargeError("a book of so many files is none")
    file.seek(0)


def _book(archive: zipfile.ZipFile) -> Iterator[Row | Bad]:
    names = set(archive.namelist())
    book = _package(archive, _root(archive))
    locked = set()
    if LOCKS in names:
        with _listed(archive, LOCKS) as file:
            locked = {unquote(e.attributes.get("URI", "")) for e in events(file) if e.name == "CipherReference"}
    present = [name for name in dict.fromkeys(book.chapters) if name in names]
    if locked & set(present):
        raise LuthierError("the book is locked (DRM): its text cannot be read")
    if sum(archive.getinfo(name).file_size for name in present) > LARGEST:
        raise TooLargeError(f"chapters of together more than {LARGEST >> 20} MB")
    parts = []
    for name in present:
        try:
            parts.append(page_of(text_of(archive.read(name)), main=False).text)
        except TooLargeError as error:
            yield Bad("too_large", str(error), name)
        except (LuthierError, RuntimeError) as error:  # RuntimeError: a member under a password
            yield Bad("unreadable", str(error), name)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            yield Bad("broken_file", str(error), name)
    for name in dict.fromkeys(book.chapters):
        if name not in names:
            yield Bad("broken_file", "the file of this chapter is missing", name)
    text = "\n\n".join(filter(None, parts))
    if not text:
        yield Bad("no_text", "no chapter has text")
        return
    title, said = book.said.get("title", ""), book.said
    if title and not text.startswith(title):
        text = f"{title}\n\n{text}"
    licence = (said.get("license") or said.get("rights") or "")[:200]
    yield Row(text, "", said.get("identifier", "")[:200], KIND, two_letters(said.get("language", "")), licence)


def _listed(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """A member that lists others. Raises TooLargeError, KeyError."""
    if archive.getinfo(name).file_size > DIRECTORY:
        raise TooLargeError("a book of so many files is none")
    return archive.open(name)


def _root(archive: zipfile.ZipFile) -> str:
    """The name of the member that lists the others."""
    try:
        with _listed(archive, CONTAINER) as file:
            for event in events(file):
                if event.opens and event.name == "rootfile":
                    return event.attributes.get("full-path", "")
    except (KeyError, BrokenError):
        pass
    return next((name for name in archive.namelist() if name.lower().endswith(".opf")), "")


def _package(archive: zipfile.ZipFile, root: str) -> _Book:
    book, files = _Book(), {}
    if root not in archive.namelist():
        raise LuthierError("no EPUB: it has no list of its chapters")
    inside, key = "", ""
    with _listed(archive, root) as file:
        for event in events(file):
            said = event.attributes
            if event.opens and event.name in ("metadata", "manifest", "spine"):
                inside = event.name
            elif event.opens and event.name == "item" and inside == "manifest":
                if said.get("media-type") in PAGES and "nav" not in said.get("properties", "").split():
                    files[said.get("id", "")] = _member(root, said.get("href", ""))
            elif event.opens and event.name == "itemref" and said.get("idref") in files:
                book.chapters.append(files[said["idref"]])
            elif event.opens:
                key = said.get("property", "").rpartition(":")[2]
            elif inside == "metadata" and event.text.strip():
                name = key if event.name == "meta" else event.name
                book.said.setdefault(name, " ".join(event.text.split()))
    return book


def _member(root: str, href: str) -> str:
    """The name of a member by a link to it; one that leads out of the book is the name of none."""
    name = posixpath.normpath(posixpath.join(posixpath.dirname(root), unquote(re.sub("#.*", "", href))))
    return name.encode("utf-8", "replace").decode()
