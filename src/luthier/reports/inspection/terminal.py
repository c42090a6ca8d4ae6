"""An inspection on the terminal: sentences, bars, and examples with the tokens that carry loss underlined in green."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from luthier.data.notes import place as name_of
from luthier.data.source import visible
from luthier.reports.inspection.findings import Bar, bars, effect, findings, histogram
from luthier.reports.inspection.inspection import Inspection, Shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

ROWS = 10
WIDTH = 30
LONGEST = 1200  # characters of an example


def print_inspection(found: Inspection, console: Console) -> None:
    """One file."""
    from rich.text import Text

    console.rule(Text(visible(str(found.path)), style="bold"), align="left")
    console.print(Text(f"Read as {found.layout}: {found.task}. Tokens of {visible(found.tokens.model)}, objective "
                       f"{found.tokens.objective}."))  # fmt: skip
    for finding in findings(found):
        # the terminal wraps it: a command in it can be copied whole
        console.print(Text(f"{'!' if finding.trouble else '·'} {visible(str(finding.text))}",
                           style="bold yellow" if finding.trouble else ""), soft_wrap=True)  # fmt: skip
        for row in finding.rows[:ROWS]:
            console.print(Text(f"    {visible(str(row))}"))
        if len(finding.rows) > ROWS:
            console.print(Text(f"    and {len(finding.rows) - ROWS:,} more"))
    _print_keys(found, console)
    _print_bars("Tokens a row", histogram(found.tokens.lengths), console)
    _print_bars("Labels" if found.task != "regression" else "Values", bars(found.balance), console)
    if found.tokens.shown:
        console.print(Text("\nRows as the model reads them; it learns what is underlined:", style="bold"))
    for shown in found.tokens.shown:
        cut = f", {shown.cut:,} more left out" if shown.cut else ""
        console.print(Text(f"{found.unit} {shown.line} ({shown.tokens:,} tokens{cut})", style="dim"))
        console.print(_coloured(shown))


def _coloured(shown: Shown) -> Text:
    """The row, what is learned whole as far as it goes: where it is too long, the rest gives way first."""
    from rich.text import Text

    lengths = [len(text) for text, _ in shown.runs]
    learned = sum(n for n, (_, flag) in zip(lengths, shown.runs, strict=True) if flag)
    rooms = {True: LONGEST * 3 // 4, False: LONGEST - min(learned, LONGEST * 3 // 4)}
    whole = {True: max(learned, 1), False: max(sum(lengths) - learned, 1)}
    out = Text()
    for (text, flag), length in zip(shown.runs, lengths, strict=True):
        room = min(length, max(20, rooms[flag] * length // whole[flag]))
        if room < length:
            text = f"{text[: room // 2]} … {text[length - (room - room // 2) :]}"
        out.append(visible(text), style="underline green" if flag else "")
    return out


def _print_keys(found: Inspection, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Keys", title_justify="left", show_header=False, box=None, padding=(0, 1))
    table.add_column(overflow="fold", max_width=40)
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    for key in found.keys:
        table.add_row(Text(visible(name_of(key))), f"{key.rows:,}", Text(visible(str(effect(key)))))
    if found.keys:
        console.print()
        console.print(table)


def _print_bars(title: str, rows: Sequence[Bar], console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 1))
    table.add_column(justify="right", overflow="fold", max_width=40)
    table.add_column(justify="right")
    table.add_column()
    for bar in rows:
        table.add_row(
            Text(visible(str(bar.name))),
            f"{bar.count:,}",
            "█" * round(WIDTH * bar.height) or ("▏" if bar.count else ""),
        )
    console.print()
    console.print(table)
