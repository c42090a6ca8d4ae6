"""Rows as what they are: a split holds any kind of row, and most tests know which kind theirs are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from luthier.core.records import Labelled, Rated, Record, Tagged, Text

Kind = TypeVar("Kind")


def of_kind(kind: type[Kind], rows: Iterable[Record]) -> tuple[Kind, ...]:
    """The rows, each of which is of that kind."""
    found: list[Kind] = []
    for row in rows:
        assert isinstance(row, kind), row
        found.append(row)
    return tuple(found)


def labelled_rows(rows: Iterable[Record]) -> tuple[Labelled, ...]:
    """The rows of a classification."""
    return of_kind(Labelled, rows)


def texts_of(rows: Iterable[Record]) -> list[str]:
    """The texts of rows that are asked with one."""
    found: list[str] = []
    for row in rows:
        assert isinstance(row, Labelled | Tagged | Rated | Text), row
        found.append(row.text)
    return found
