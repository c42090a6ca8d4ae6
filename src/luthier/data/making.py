"""Rows to records: every row of a file becomes a record or is bad for a reason in words; marks are taken off."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from luthier.core.errors import LuthierError
from luthier.core.records import Record
from luthier.data.keys import Tally
from luthier.data.layouts import Layout
from luthier.data.marks import Mark, cut_off, find_mark
from luthier.data.rows import EmptyError, RejectError, Wanted
from luthier.data.source import Row, Source, printable
from luthier.data.verdicts import Judging

ANYWAY = "go on all the same with --anyway (data.anyway: true in a recipe)"


@dataclass(frozen=True)
class Bad:
    """A row that cannot be used: its line (from 1), why, and its source text."""

    line: int
    reason: str
    raw: str


@dataclass(frozen=True)
class Unused(Bad):
    """A good row that cannot be learned from; why: of `luthier.data.used.LEFT`."""

    why: str


@dataclass(frozen=True)
class Made:
    """What became of a file's rows. empty: how many are bad because their answer holds nothing. mark: taken off."""

    records: list[Record] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    empty: int = 0
    mark: Mark | None = None


def make(source: Source, wanted: Wanted, layout: Layout, judging: Judging, anyway: bool = False) -> Made:
    """Every row of a source as a record, or bad.

    anyway: answers may all be empty, or nothing but a mark, for which LuthierError is raised without it.
    """
    made = _records(source, wanted, layout, judging)
    if not made.records and made.empty == len(made.bad):
        if not anyway:
            raise LuthierError(_none(source, layout, f"all {made.empty} answers are empty"))
        made = _records(source, wanted, layout, judging, empties=True)
    mark = find_mark(made.records)
    records, lines, bare = cut_off(made.records, made.lines, mark)
    if made.records and not records:
        if not anyway:
            raise LuthierError(_none(source, layout, f"all {len(bare)} answers are nothing but the mark {mark}"))
        return made
    bad = [*made.bad, *(Bad(line, f"the answer is nothing but the mark {text}", text) for line, text in bare)]
    return replace(made, records=records, lines=lines, bad=sorted(bad, key=lambda row: row.line), mark=mark)


def _records(source: Source, wanted: Wanted, layout: Layout, judging: Judging, empties: bool = False) -> Made:
    """The rows as they stand. empties: answers may hold nothing."""
    made, empty = Made(), 0
    for i, row in enumerate(source.rows):
        fields = judging.begin(wanted.fields(row), empties)
        try:
            if row.reason:
                raise RejectError(row.reason)
            record = judging.judged(layout.make(fields, wanted, i == 0 and not source.headed), row, fields.trace)
        except RejectError as why:
            made.bad.append(bad_row(row, why))
            empty += isinstance(why, EmptyError)
            made.tally.bad(row.columns, {name: f for f, name in fields.names.items() if f in layout.fields})
        else:
            made.records.append(record)
            made.lines.append(row.line)
            made.tally.good(row.columns, fields.trace)
    return replace(made, empty=empty)


def _none(source: Source, layout: Layout, reason: str) -> str:
    return f"{source.path}: {reason}: there is nothing to learn from them. {instead(layout.name)}"


def instead(layout: str) -> str:
    """What to do about answers that are none."""
    return f"Look at the column of the answers ({layout} were read; --map names others), or {ANYWAY}"


def bad_row(row: Row, why: RejectError) -> Bad:
    """A row with the reason why it cannot be used."""
    return Bad(row.line, str(why), printable(row.raw) or cell(row.columns))


def cell(value: Any) -> str:
    """A value as text, as a table has it."""
    if value is None:
        return ""
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
