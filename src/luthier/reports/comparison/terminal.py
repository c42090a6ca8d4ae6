"""The leaderboard on a terminal: one table, what did not finish, and the recommendation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from luthier.comparison.leaderboard import verdicts_of
from luthier.core.metric import title
from luthier.core.split import Used
from luthier.data.used import said as said_of
from luthier.evals import formatting
from luthier.evals.formatting import Row
from luthier.reports.comparison import sentences
from luthier.reports.comparison.answer import told

Below = Mapping[str, Sequence[str]]
LONG_REASON = 400  # characters: the report has the rest


class _Column(NamedTuple):
    """A column of the terminal table; on a narrow terminal those with the highest `drop` come last."""

    title: str
    drop: int
    cells: list[str]
    justify: Literal["left", "right"] = "right"

    def width(self) -> int:
        return max(cell_len(text) for text in (self.title, *self.cells)) + 3


def _merges(row: Row) -> str:
    return {True: "yes", False: "no"}.get(row["mergeable"], formatting.DASH) if "mergeable" in row else formatting.DASH


def _base(rows: Sequence[Row]) -> list[str]:
    """Size of the base's linear weights, where methods differ in it."""
    held = {row.get("base_bytes") for row in rows} - {None}
    return [formatting.size(row.get("base_bytes")) if len(held) > 1 else formatting.DASH for row in rows]


def _around(row: Row, key: str, factor: float, digits: int) -> str:
    """A figure of written answers, with half its interval."""
    if not formatting.known(row.get(key)):
        return formatting.DASH
    low, high = row[f"{key}_ci95"]
    return f"{factor * row[key]:.{digits}f} ± {factor * (high - low) / 2:.{digits}f}"


WORSE = {"constant": "commonest answer", "untuned": "untuned model", "collapsed": "untuned: collapsed"}


def _columns(board: Mapping[str, Any], rows: Sequence[Row], tied: frozenset[str], below: Below) -> list[_Column]:
    metric = str(board["metric"])
    heading = title(metric)
    seems = {v.a for v in verdicts_of(board) if v.against == "best" and v.kind == "unsure"}

    def stands(name: str) -> str:
        if name == board.get("best"):
            return "best"
        return "not distinguishable" if name in tied else "not surely behind" if name in seems else ""

    standing = [stands(formatting.name(row)) for row in rows]
    worse = [", ".join(WORSE[what] for what in below.get(formatting.name(row), ())) for row in rows]
    columns = [
        _Column("Method", 0, [formatting.plain(formatting.name(row)) for row in rows], "left"),
        _Column(heading, 0, [formatting.score_pm(row, metric) for row in rows]),
        _Column("Wins, %", 1, [_around(row, "wins", 100, 1) for row in rows]),
        _Column("KL, nats", 2, [_around(row, "kl", 1, 2) for row in rows]),
        _Column("Against best", 3, standing, "left"),
        _Column("Worse than", 3, worse, "left"),
        _Column("Trained", 4, [formatting.count(row.get("trainable")) for row in rows]),
        _Column("Share", 9, [formatting.share(row.get("trainable_share")) for row in rows]),
        _Column("Training", 1, [formatting.duration(row.get("train_seconds")) for row in rows]),
        _Column("Processor", 6, [formatting.duration(row.get("train_cpu_seconds")) for row in rows]),
        _Column("Search", 8, [formatting.duration(row.get("search_cpu_seconds")) for row in rows]),
        _Column("Answers", 8, [formatting.duration(row.get("answer_cpu_seconds")) for row in rows]),
        _Column("To ship", 2, [formatting.size(row.get("artifact_bytes")) for row in rows]),
        _Column("Memory", 7, [formatting.size(row.get("peak_memory_bytes")) for row in rows]),
        _Column("Base", 6, _base(rows)),
        _Column("Latency", 5, [formatting.latency(row.get("latency_ms")) for row in rows]),
        _Column("Forgets", 6, [formatting.signed(row.get("forgetting")) for row in rows]),
        _Column("Merges", 10, [_merges(row) for row in rows]),
        _Column("Rate", 8, [formatting.rate(row.get("learning_rate")) for row in rows]),
    ]
    return [
        column
        for column in columns
        if column.drop == 0 or any(cell not in ("", formatting.DASH) for cell in column.cells)
    ]


def _fitting(columns: Sequence[_Column], width: int) -> list[list[_Column]]:
    """The columns in as many tables as they need, the most important first; each begins with the methods' names."""
    name, *left = columns
    tables: list[list[_Column]] = []
    while left:
        kept: set[str] = set()
        used = name.width()
        for column in sorted(left, key=lambda column: column.drop):
            if not kept or used + column.width() <= width or (not tables and column.drop == 0):
                kept.add(column.title)
                used += column.width()
        tables.append([name, *(column for column in left if column.title in kept)])
        left = [column for column in left if column.title not in kept]
    return tables


def _leaderboard(
    board: Mapping[str, Any], rows: Sequence[Row], tied: frozenset[str], below: Below, width: int
) -> Iterator[Table]:
    for columns in _fitting(_columns(board, rows, tied, below), width):
        yield _table(board, rows, columns)


def _table(board: Mapping[str, Any], rows: Sequence[Row], columns: Sequence[_Column]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
    for column in columns:
        table.add_column(Text(column.title), justify=column.justify, no_wrap=True, overflow="ellipsis")
    for index, row in enumerate(rows):
        style = "bold green" if formatting.name(row) == board.get("best") else ""
        table.add_row(*(Text(column.cells[index]) for column in columns), style=style)
    return table


def _left_out(rows: Sequence[Row]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        style = "red" if row["status"] == "failed" else "yellow"
        reason = Text(formatting.first_line(row.get("reason") or "no reason was recorded", LONG_REASON))
        table.add_row(Text(formatting.plain(formatting.name(row))), Text(str(row["status"]), style=style), reason)
    return table


def _notes(details: Mapping[str, Any]) -> list[str]:
    of_runs = [f"{methods}: {note}" for methods, note in details.get("run_notes") or ()]
    return [*(details.get("notes") or ()), *of_runs]


def print_leaderboard(board: Mapping[str, Any], console: Console, details: Mapping[str, Any]) -> None:
    """Print a leaderboard: notes, finished methods by score, the others with their reason, and the recommendation.

    `details` are the report's: they name the methods not distinguishable from the best.
    Columns that do not fit the console's width come in further tables, the least important last.
    """
    rows = formatting.finished(board)
    verdicts = sentences.verdicts(board)
    if counts := details.get("used"):
        console.print(Text(said_of(Used(**counts))[0]))
    if notes := _notes(details):
        for note in notes:
            console.print(Text(f"Note: {formatting.plain(note)}", style="yellow"))
        console.print()
    if rows:
        tied = frozenset(details.get("tied") or ())
        for table in _leaderboard(board, rows, tied, details.get("below") or {}, console.width):
            console.print(table)
            console.print()
    if left_out := formatting.unfinished(board):
        console.print(_left_out(left_out))
        console.print()
    if uneven := sentences.lopsided(board):
        console.print(Text(formatting.plain(uneven), style="yellow"))
        console.print()
    for sentence in filter(None, (*verdicts, sentences.at_once(board), sentences.winner(board))):
        console.print(Padding(Text(formatting.plain(sentence)), (0, 0, 0, 2)))
    if verdicts or sentences.winner(board):
        console.print()
    if board.get("curve"):
        console.print(Text(formatting.plain(sentences.curve_of(board))))
        console.print()
    for place, phrase in enumerate(said := list(told(board))):
        console.print(
            Padding(Text(formatting.plain(phrase), style="" if place else "bold"), (0, 0, 0, 2 if place else 0))
        )
    if said:
        console.print()
    if line := sentences.last_line(board):
        console.print(Text(formatting.plain(line), style="bold"))
