"""What an open data set is: where it is published, its parts, and how a row of it becomes records.

A converter is a function of a row and of a counter of what it leaves out of rows that stay; it yields records, each
with the file that it belongs into, or raises DroppedError with the reason. Reasons are phrases: cards say them in both
languages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from luthier.core.phrases import Phrase, say

Record = dict[str, Any]
Convert = Callable[[Any, Counter[Phrase]], Iterable[tuple[str, Record]]]
Gather = Callable[[Iterable[Any]], Iterator[Any]]


class DroppedError(Exception):
    """A row cannot be used; the reason is a phrase."""

    def __init__(self, reason: Phrase) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Broken:
    """What stands where a row should be, and why it is none."""

    reason: Phrase


@dataclass(frozen=True)
class Place:
    """Files of a hub's data set (`repo`), or below the address `base` elsewhere, whose page is `home`.

    also: patterns of other names under which people have the file. listed: the files hold addresses, one a line.
    """

    files: tuple[str, ...]
    repo: str = ""
    base: str = ""
    home: str = ""
    also: tuple[str, ...] = ()
    listed: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The files' own names, without folders."""
        return tuple(PurePosixPath(file).name for file in self.files)

    @property
    def page(self) -> str:
        """Where people look at it."""
        return f"https://huggingface.co/datasets/{self.repo}" if self.repo else self.home


@dataclass(frozen=True)
class Part:
    """One part of a set, fetched and converted by itself.

    files: file name -> what it holds. rows, size: of the download, about; 0 where nobody has counted. languages: of its
    rows; where there are several, a record's `lang` says which. usual: taken where no part is named. limited: so large
    that only a number of rows can be asked for. gather: puts rows of the file together to what is converted.
    changed: what else than dropping rows is done.
    """

    name: str
    place: Place
    convert: Convert
    files: dict[str, Phrase]
    rows: int = 0
    size: int = 0
    languages: tuple[str, ...] = ("en",)
    usual: bool = True
    limited: bool = False
    gather: Gather | None = None
    changed: Phrase | None = None


@dataclass(frozen=True)
class OpenSet:
    """A set by name. about: what it holds; licence: its name; care: what to know before it is used."""

    name: str
    about: Phrase
    licence: str
    parts: tuple[Part, ...]
    care: Phrase | None = None

    @property
    def usual(self) -> tuple[Part, ...]:
        """The parts that are taken where none is named."""
        return tuple(part for part in self.parts if part.usual)

    @property
    def languages(self) -> tuple[str, ...]:
        """Of all parts."""
        return tuple(dict.fromkeys(code for part in self.parts for code in part.languages))


def columns(row: Any) -> dict[str, Any]:
    """The row as an object. Raises DroppedError."""
    if not isinstance(row, dict):
        raise DroppedError(say("set_no_object"))
    return row


def text_of(row: dict[str, Any], field: str) -> str:
    """A text that is there. Raises DroppedError where it is missing, empty, no text, or cannot be written."""
    found = optional(row, field)
    if not found.strip():
        raise DroppedError(say("set_missing", field=field))
    return found


def optional(row: dict[str, Any], field: str) -> str:
    """A text, "" where it is missing or null. Raises DroppedError where it is no text or cannot be written."""
    value = row.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DroppedError(say("set_no_text", field=field))
    if not writable(value):
        raise DroppedError(say("set_half", field=field))
    return value


def column(row: dict[str, Any], field: str, name: str = "") -> dict[str, str]:
    """A column that is kept beside a record: {name: text}, or nothing where there is no such text."""
    value = row.get(field)
    return {name or field: value} if isinstance(value, str) and value.strip() and writable(value) else {}


def writable(text: str) -> bool:
    """Whether UTF-8 can write it: bytes that could not be read and halves of characters cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
