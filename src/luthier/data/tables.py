"""Tables: csv and tsv as spreadsheets and people write them.

The separator is found; the header is the first row, or the first of a few that holds known names, under a title.
Quotes are RFC 4180's, in .tsv only where cells show that they are. Numbers name columns where there is no header.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.data.names import meaning
from luthier.data.separated import quotes_end, records
from luthier.data.source import FIELDS, Row, Source, Text, check_mapped, decode, lines, quoted

SEPARATORS = "\t,;|"  # the first of those that fit alike
WIDE = "，；"  # only where they part known names: they stand in many a text
_SAID = {"\t": "said_file_tabs", "|": "said_file_bars", **dict.fromkeys(WIDE, "said_file_wide")}
_RULE = re.compile(r"\s*:?-*:?\s*")  # a cell of the line under a Markdown table's header
_NAMED = re.compile(r'"?sep=(.)"?[ \t]*\r?\n', re.IGNORECASE)  # Excel's own first line
_ABOVE = 10  # rows among which the header is looked for
_CELL = re.compile('"[^"]*"')


def read_tsv(path: Path, mapped: tuple[str, ...], encoding: str = "") -> Source:
    """A .tsv file: a tab ends a cell, a line end a row, whatever else stands there, unless cells are quoted."""
    found = decode(path, encoding)
    plain = [replace(row, cells=tuple(row.raw.split("\t"))) for row in lines(found)]
    quoted_rows = _quoted(found.text, plain)
    if quoted_rows:
        found = replace(found, notes=(*found.notes, say("said_file_quotes")))
    return table(path, quoted_rows or plain, mapped, found)


def read_csv(path: Path, mapped: tuple[str, ...], encoding: str = "") -> Source:
    """A .csv file with commas, semicolons, tabs or bars."""
    return read_separated(path, decode(path, encoding), mapped)


def read_separated(path: Path, found: Text, mapped: tuple[str, ...]) -> Source:
    """A text of rows and cells. Its separator is what its first line names, or what fits."""
    text = _line_ends(found.text)
    closers = quotes_end(text)
    first = _NAMED.match(text)
    at, separator = (first.end(), first[1]) if first else (0, _sniff(text, closers, mapped))
    rows = list(records(text, separator, closers, at))
    rows = _markdown(rows) if separator == "|" else rows
    if separator in _SAID and not first and any(len(row.cells) > 1 for row in rows):
        found = replace(found, notes=(*found.notes, say(_SAID[separator])))
    return table(path, rows, mapped, found)


def _markdown(rows: list[Row]) -> list[Row]:
    """The rows without the line of dashes under a Markdown table's header, and without the spaces around cells."""
    if len(rows) < 2 or "--" not in rows[1].raw or not all(map(_RULE.fullmatch, rows[1].cells)):
        return rows
    return [replace(row, cells=tuple(map(str.strip, row.cells))) for row in (rows[0], *rows[2:])]


def is_table(text: str) -> bool:
    """Whether the first line of a text names two known columns at least, as a table's header does."""
    first = text.lstrip("\n\r").split("\n", 1)[0]
    return any(len(_known(first.split(separator), ())) > 1 for separator in SEPARATORS)


def table(path: Path, rows: list[Row], mapped: tuple[str, ...], found: Text) -> Source:
    """The rows of cells as a source; rows and columns that hold nothing are left out, and said."""
    numbers = [name.isascii() and name.isdigit() for name in mapped]
    if any(numbers) and not all(numbers):
        raise LuthierError(f"--map {','.join(mapped)}: name the columns by header or by number, not both")
    headed, notes = not any(numbers), list(found.notes)
    rows = _filled(rows, notes)
    if not rows:
        raise LuthierError(f"{path} is empty: it needs one example a row")
    if headed:
        names, rows = _headed(path, rows, mapped, found, notes)
        width = len(names)
    else:
        width = Counter(len(row.cells) for row in rows).most_common(1)[0][0]
        names = tuple(str(i) for i in range(width))
        check_mapped(path, mapped, names)
    usual = "the header has" if headed else "most rows have"
    tabs = path.suffix.lower() == ".tsv"
    advice = "a tab inside a text?" if tabs else "put a text that holds a separator in quotes"
    out = []
    for row in rows:
        reason = found.fault(row.raw) or row.reason
        given = row.cells if any(cell.strip() for cell in row.cells[width:]) else row.cells[:width]
        if not reason and len(given) != width:
            reason = f"{len(given)} column(s) where {usual} {width}: {advice}"
        cells = {} if reason else dict(zip(names, given, strict=True))
        out.append(Row(row.line, row.raw, reason, row.cells, cells))
    return Source(path, tuple(out), names, headed, notes=tuple(notes))


def _filled(rows: list[Row], notes: list[str]) -> list[Row]:
    """The rows that hold more than separators."""
    kept = [row for row in rows if row.reason or any(cell.strip() for cell in row.cells)]
    if gone := len(rows) - len(kept):
        notes.append(say("said_file_blank_rows", count=gone))
    return kept


def _headed(
    path: Path, rows: list[Row], mapped: tuple[str, ...], found: Text, notes: list[str]
) -> tuple[tuple[str, ...], list[Row]]:
    """The header's names and the rows under it."""
    at = _header_at(rows, mapped)
    header, above, rows = rows[at], rows[:at], rows[at + 1 :]
    if above:
        shown = quoted([" ".join(row.raw.split()) for row in above], 3)
        notes.append(say("said_file_header", line=header.line, text=shown))
    width = len(header.cells)
    while width > 1 and not header.cells[width - 1].strip() and not _any_in(rows, width - 1):
        width -= 1
    names = _header(path, replace(header, cells=header.cells[:width]), mapped, found)
    if gone := len(header.cells) - width:
        notes.append(say("said_file_blank_columns", count=gone))
    check_mapped(path, mapped, names)
    if not rows:
        from luthier.data.advice import by_number

        hint = f"if that is no header, number the columns: {by_number(path, header.cells)}"
        raise LuthierError(f"{path} has a header row ({quoted(names)}) and no row under it; {hint}")
    return names, rows


def _any_in(rows: Sequence[Row], column: int) -> bool:
    return any(len(row.cells) > column and row.cells[column].strip() for row in rows)


def _known(cells: Iterable[str], mapped: tuple[str, ...]) -> set[str]:
    """The fields and mapped columns that cells of a header name."""
    plain = [cell.strip() for cell in cells]
    return {name if name in mapped else meaning(name) for name in plain if name in mapped or meaning(name)}


def _header_at(rows: list[Row], mapped: tuple[str, ...]) -> int:
    """Which row is the header: the first, unless it names nothing known and one of the next few clearly does."""
    if _known(rows[0].cells, mapped):
        return 0
    for i, row in enumerate(rows[1:_ABOVE], 1):
        known = _known(row.cells, mapped)
        if len(known) > 1 or (mapped and known >= set(mapped)):
            return i
    return 0


def _header(path: Path, row: Row, mapped: tuple[str, ...], found: Text) -> tuple[str, ...]:
    if reason := found.fault(row.raw) or row.reason:
        raise LuthierError(f"{path}:{row.line}: the header row cannot be read: {reason}")
    names: list[str] = []
    for i, cell in enumerate(row.cells):
        name = cell.strip() or str(i)
        if name in names and (name in FIELDS or name in mapped):
            raise LuthierError(f'{path}:{row.line}: the header has column "{name}" twice: rename one')
        while name in names:
            name += "'"
        names.append(name)
    return tuple(names)


def _sniff(text: str, closers: list[int], mapped: tuple[str, ...]) -> str:
    """The separator, by the first rows: known names in the header first, then rows of equal width."""

    def score(separator: str) -> tuple[int, int]:
        rows = list(islice(records(text, separator, closers), 50))
        width, count = Counter(len(row.cells) for row in rows).most_common(1)[0] if rows else (0, 0)
        known = max((len(_known(row.cells, mapped)) for row in rows[:_ABOVE]), default=0)
        return known, count if width > 1 and separator in SEPARATORS else 0

    return max(SEPARATORS + WIDE, key=score)


def _line_ends(text: str) -> str:
    """The text with line feeds where CR alone ends its rows, whatever stands inside quoted cells."""
    if "\r" not in text or text.count("\r") == text.count("\r\n"):
        return text
    outside = _CELL.sub("", text)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in outside and "\n" not in outside else text


def _quoted(text: str, plain: list[Row]) -> list[Row]:
    """The rows of a table with tabs read with quotes, where every quote fits and some cell shows that it needs them."""
    if '"' not in text or not any(cell.startswith('"') for row in plain for cell in row.cells):
        return []
    rows = list(records(text, "\t", quotes_end(text)))
    whole = not any(row.reason for row in rows) and len({len(row.cells) for row in rows}) == 1
    needed = any(_needs_quotes(row) for row in rows)
    every = all(cell[:1] == '"' == cell[-1:] and len(cell) > 1 for row in plain for cell in row.cells)
    return rows if whole and (needed or every) else []


def _needs_quotes(row: Row) -> bool:
    """Whether a cell of the row was quoted and holds what only a quoted cell can: a quote, a tab, a line end."""
    plain = row.raw.split("\t")
    if "\n" in row.raw or len(plain) != len(row.cells):
        return True
    return any(cell != written and '"' in cell for cell, written in zip(row.cells, plain, strict=True))
