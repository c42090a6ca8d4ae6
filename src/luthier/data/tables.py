"""Csv and tsv: the separator is found, quotes are RFC 4180's (csv) or plain characters (tsv), numbers name columns."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from luthier.data.source import FIELDS, Row, Source, check_mapped, decode, fault, lines, quoted
from luthier.errors import LuthierError


def read_tsv(path: Path, mapped: tuple[str, ...]) -> Source:
    """A .tsv file: a tab ends a cell, a line end a row, whatever else stands there."""
    return table(path, [replace(row, cells=tuple(row.raw.split("\t"))) for row in lines(decode(path))], mapped)


def read_csv(path: Path, mapped: tuple[str, ...]) -> Source:
    """A .csv file with commas or semicolons."""
    text = decode(path)
    return table(path, list(_csv(text, *_sniff(text, mapped))), mapped)


def table(path: Path, rows: list[Row], mapped: tuple[str, ...]) -> Source:
    numbers = [name.isascii() and name.isdigit() for name in mapped]
    if any(numbers) and not all(numbers):
        raise LuthierError(f"--map {','.join(mapped)}: name the columns by header or by number, not both")
    headed = not any(numbers)
    if headed:
        names = _header(path, rows[0], mapped)
        rows, width = rows[1:], len(names)
        check_mapped(path, mapped, names)
        if not rows:
            hint = "if that is no header, number the columns: --map 0=text,1=label"
            raise LuthierError(f"{path} has a header row ({quoted(names)}) and no row under it; {hint}")
    else:
        width = Counter(len(row.cells) for row in rows).most_common(1)[0][0]
        names = tuple(str(i) for i in range(width))
        check_mapped(path, mapped, names)
    usual = "the header has" if headed else "most rows have"
    advice = "a tab inside a text?" if path.suffix.lower() == ".tsv" else "put a text that holds a separator in quotes"
    out = []
    for row in rows:
        reason = fault(row.raw) or row.reason
        if not reason and len(row.cells) != width:
            reason = f"{len(row.cells)} column(s) where {usual} {width}: {advice}"
        cells = {} if reason else dict(zip(names, row.cells, strict=True))
        out.append(replace(row, reason=reason, columns=cells))
    return Source(path, tuple(out), names, headed)


def _header(path: Path, row: Row, mapped: tuple[str, ...]) -> tuple[str, ...]:
    if reason := fault(row.raw) or row.reason:
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


def _sniff(text: str, mapped: tuple[str, ...]) -> tuple[str, list[int]]:
    """The separator, by the first rows: known names in the header first, then rows of equal width; comma on a tie."""
    # A quoted field ends at the next run of quotes of odd length: looked up once, parsing stays linear whatever comes.
    closers = [run.end() - 1 for run in re.finditer('"+', text) if len(run[0]) % 2]

    def score(separator: str) -> tuple[int, int]:
        rows = list(islice(_csv(text, separator, closers), 50))
        header = {cell.strip() for cell in rows[0].cells} if rows else set()
        width, count = Counter(len(row.cells) for row in rows).most_common(1)[0] if rows else (0, 0)
        return len(header & {*mapped, *FIELDS}), count if width > 1 else 0

    return max(",;", key=score), closers


def _csv(text: str, separator: str, closers: list[int]) -> Iterator[Row]:
    """RFC 4180 rows; a row with a broken quote is bad alone: reading goes on at the line after the one it starts on."""
    plain = re.compile(f"[^{separator}\n]*")
    at, line = 0, 1
    while at < len(text):
        cells, end, reason = _record(text, at, separator, plain, closers)
        if reason:
            end = _line_end(text, at)
        raw = text[at:end].removesuffix("\r")
        if raw.strip(" \r"):
            yield Row(line, raw, reason, tuple(cells))
        line += text.count("\n", at, end + 1)
        at = end + 1


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _record(
    text: str, at: int, separator: str, plain: re.Pattern[str], closers: list[int]
) -> tuple[list[str], int, str]:
    """Cells of the record at `at`, where it ends (a line feed or the end of the text), and what is wrong with it."""
    cells: list[str] = []
    while True:
        if text.startswith('"', at):
            run = at + 1
            while text.startswith('"', run):
                run += 1
            following = bisect_left(closers, run)
            if (run - at) % 2 == 0:  # the run that opens the field also closes it: "" or """"
                close = run - 1
            elif following < len(closers):
                close = closers[following]
            else:
                return cells, at, "a quote is opened and never closed"
            cells.append(text[at + 1 : close].replace('""', '"').replace("\r\n", "\n"))
            at = close + 1
            if text.startswith("\r\n", at):
                at += 1
            if at < len(text) and text[at] not in (separator, "\n"):
                return cells, at, "text after a closing quote: double the quotes inside a quoted text"
        else:
            match = plain.match(text, at)
            end = match.end() if match else at
            stop = end == len(text) or text[end] == "\n"
            cells.append(text[at:end].removesuffix("\r") if stop else text[at:end])
            at = end
        if at == len(text) or text[at] == "\n":
            return cells, at, ""
        at += 1
