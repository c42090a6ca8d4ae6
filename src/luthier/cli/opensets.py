"""`luthier data get`: open data sets by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from luthier.data.opensets.spec import OpenSet, Part

GET = """Fetch an open data set by name and convert it to files that are read here, with a card beside them.

What is fetched, what is kept and what is dropped is counted; CARD.md has the licence. Where there is no network,
--from takes files that were fetched elsewhere. Interrupted, the same command goes on.

Example: luthier data get dolly --rows 2000
"""


def get(
    name: Annotated[str, typer.Argument(help="of the set; --list shows all")] = "",
    out: Annotated[Path | None, typer.Option(help="folder that is written; the set's name without it")] = None,
    part: Annotated[str | None, typer.Option(help="parts of the set by comma; the usual ones without it")] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="keep so many rows of each part, and read no more")] = None,
    language: Annotated[str | None, typer.Option(help="keep rows in these languages only, by comma: en,zh")] = None,
    source: Annotated[Path | None, typer.Option("--from", help="file or folder that was fetched already")] = None,
    list_: Annotated[bool, typer.Option("--list", help="show all sets, fetch none")] = False,
) -> None:
    """Fetch, convert, say what became of the rows."""
    from luthier.cli.common import parts, resumable, share_bar
    from luthier.core.errors import LuthierError
    from luthier.data.opensets import sets
    from luthier.data.opensets.get import Order
    from luthier.data.opensets.get import get as fetch

    if list_ or not name:
        _table(sets())
        if not list_:
            raise LuthierError("name one of these sets: luthier data get NAME")
        return
    codes = tuple(code.casefold() for code in parts(language))
    order = Order(name, out or Path(name), tuple(parts(part)), rows, codes, source)
    with resumable(), share_bar(name) as progress:
        done = fetch(order, progress)
    _say(order.out, done)


def _say(out: Path, done: dict[str, Any]) -> None:
    """What lies in the folder, and what was dropped on the way there."""
    from luthier.core.phrases import unpacked
    from luthier.data.opensets.card import NAME

    first = ""
    for name, part in done["parts"].items():
        print(f"{name}: {part['rows']} rows read = {part['kept']} kept + {part['rows'] - part['kept']} dropped")
        for why, count in part["dropped"]:
            print(f"  {count} dropped: {unpacked(why)}")
        for file, count in part["files"].items():
            first = first or str(out / file)
            print(f"  {out / file}: {count} rows")
    print(f"Card: {out / NAME}\nLook at it: luthier data inspect {first}")


def _table(known: dict[str, OpenSet]) -> None:
    """Each set with its licence and what it holds, then its parts: rows, size, languages, files."""
    from luthier.core.phrases import plain

    for found in known.values():
        print(f"{found.name}  ({found.licence})\n  {plain(found.about)}")
        for part in found.parts:
            name = part.name + ("" if part.usual else " *")
            rows = f"{part.rows:,}" if part.rows else "?"
            size = f"{part.size / 1e6:,.0f} MB" if part.size else "?"
            print(f"    {name:<20} {rows:>9} rows {size:>8}  {_languages(part):<17} {', '.join(part.files)}")
    print("\nRows and sizes are those of the download, about; ?: not known. *: only where --part names it.")


def _languages(part: Part) -> str:
    shown = ", ".join(part.languages[:2])
    return shown if len(part.languages) <= 2 else f"{len(part.languages)}: {shown}…"
