"""A finding on a terminal: the sentence, what papers say, the tables."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Drawn
from rich.text import Text

from luthier.study.finding import VERDICTS, Finding, Table

STYLES = {"agrees": "green", "differs": "yellow", "open": "dim"}


def print_finding(found: Finding, console: Console) -> None:
    """Print everything but the pictures."""
    for table in found.tables:
        console.print(Text(table.title.text(), style="bold"))
        console.print(_drawn(table))
    for claim in found.claims:
        verdict = Text(VERDICTS[claim.verdict].text(), style=STYLES[claim.verdict])
        console.print(Padding(Text.assemble(verdict, f": {claim.says} ({claim.source})"), (0, 0, 0, 2)))
    for note in found.notes:
        console.print(Padding(Text(f"Note: {note}", style="dim"), (0, 0, 0, 2)))
    console.print()
    console.print(Text(found.sentence.text(), style="bold"))


def _drawn(table: Table) -> Drawn:
    out = Drawn(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
    for i, column in enumerate(table.columns):
        out.add_column(Text(column.text()), justify="right" if i else "left", overflow="fold", no_wrap=not i)
    for at, row in enumerate(table.rows):
        out.add_row(*(Text(str(cell)) for cell in row), style="green" if at == table.best else "")
    return out
