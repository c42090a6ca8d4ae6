"""Records of RFC 4180: cells between separators, quoted where they hold one, a quote or a line end."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator

from luthier.data.source import Row


def quotes_end(text: str) -> list[int]:
    """Where quoted cells may end: the last quote of each run of odd length. Looked up once, so that reading records
    takes linear time whatever comes."""
    return [run.end() - 1 for run in re.finditer('"+', text) if len(run[0]) % 2]


def records(text: str, separator: str, closers: list[int], at: int = 0) -> Iterator[Row]:
    """The rows from `at` on; one with a broken quote is bad alone: reading goes on at the line after its first."""
    plain = re.compile(f"[^{re.escape(separator)}\n]*")
    spaced = re.compile(f' +"((?:[^"\n]|"")*)" *(?={re.escape(separator)}|\r?\n|\\Z)')
    line = 1 + text.count("\n", 0, at)
    while at < len(text):
        cells, end, reason = _record(text, at, separator, (plain, spaced), closers)
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
    text: str, at: int, separator: str, patterns: tuple[re.Pattern[str], re.Pattern[str]], closers: list[int]
) -> tuple[list[str], int, str]:
    """Cells of the record at `at`, where it ends (a line feed or the end of the text), and what is wrong with it.

    patterns: of a cell without quotes, and of a quoted one with spaces around it.
    """
    plain, spaced = patterns
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
        elif around := spaced.match(text, at):
            cells.append(around[1].replace('""', '"'))
            at = around.end() + text.startswith("\r\n", around.end())
        else:
            match = plain.match(text, at)
            end = match.end() if match else at
            stop = end == len(text) or text[end] == "\n"
            cells.append(text[at:end].removesuffix("\r") if stop else text[at:end])
            at = end
        if at == len(text) or text[at] == "\n":
            return cells, at, ""
        at += 1
