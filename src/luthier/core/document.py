"""A file that was read as text, in sections."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of text that a citation can name and no chunk crosses: a whole file, a PDF's page, a row of JSONL.

    name: "page 3", "line 12", or "" for a whole file. tags: "key=value" for filters.
    """

    text: str
    name: str = ""
    title: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A file that was read. notes: what a reader had to guess or leave out, in words for the report."""

    file: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
