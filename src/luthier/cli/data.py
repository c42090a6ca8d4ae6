"""`luthier data`: what stands in a file, which files are read, which data is embedded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from luthier.cli.common import FILL, add_group, fills, pairs, parts
from luthier.cli.opensets import GET, get

HELP = """Look at data before anything is trained on it.

Example: luthier data inspect mine.jsonl
"""
INSPECT = """Say what stands in a file, before anything is trained on it.

Rows kept and dropped with line and reason, lengths in tokens, what is shortened, which tokens carry loss, duplicates,
what a test file shares with it, how labels are balanced, and a few rows as the model reads them.

Example: luthier data inspect mine.jsonl --test held_out.jsonl --html inspection.html
"""
FORMATS = """List the files that are read and what a row may look like.

Example: luthier data formats
"""
SETS = """List the data that is embedded: names for `luthier compare NAME` and data.path of a recipe.

Example: luthier data sets
"""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    add_group(
        app, "data", HELP, inspect=(INSPECT, inspect), formats=(FORMATS, formats), sets=(SETS, sets), get=(GET, get)
    )


def inspect(
    data: Annotated[str, typer.Argument(help="file, folder or hub id of a data set, or an embedded name")] = "tickets",
    pair: Annotated[str | None, typer.Option(help="two files of lines instead, by comma: a.fr,b.en")] = None,
    test: Annotated[str | None, typer.Option(help="held-out file: what both share is shown")] = None,
    model: Annotated[str, typer.Option(help="its tokenizer counts: folder, .gguf file or hub id")] = "embedded",
    objective: Annotated[str, typer.Option(help="what is learned (see luthier methods); sft, or lm for text")] = "",
    max_length: Annotated[int | None, typer.Option(min=2, help="longest sequence in tokens")] = None,
    map: Annotated[str | None, typer.Option(help="column=field by comma, such as 0=text,1=label")] = None,
    labels: Annotated[str | None, typer.Option(help="raw=name by comma, such as 0=negative,1=positive")] = None,
    instruction: Annotated[str | None, typer.Option(help="what to do, said before every input")] = None,
    encoding: Annotated[str, typer.Option(help="of files that are not UTF-8: gb18030, big5…")] = "",
    fill: Annotated[str | None, typer.Option(help=FILL)] = None,
    html: Annotated[Path | None, typer.Option(help="also write one page of HTML here")] = None,
) -> None:
    """Read, count, print."""
    from rich.console import Console

    from luthier.cli.common import rows_bar
    from luthier.io.config import DataConfig
    from luthier.reports.inspection.inspection import Reader
    from luthier.reports.inspection.inspection import inspect as look
    from luthier.reports.inspection.page import write_page
    from luthier.reports.inspection.terminal import print_inspection

    lines = tuple(parts(pair))
    config = DataConfig(
        data,
        test,
        pairs(map, "--map"),
        pairs(labels, "--labels"),
        instruction,
        encoding=encoding,
        fill=fills(fill),
        pair=lines,
    )
    with rows_bar("inspecting") as say:
        found = look(config, Reader(model, objective, max_length, say))
    console = Console()
    for item in found:
        print_inspection(item, console)
    if html:
        write_page(found, html)
        console.print(f"\nPage: {html}", markup=False, highlight=False, soft_wrap=True)


def formats() -> None:
    """Extensions and layouts, from the readers themselves."""
    from luthier.data.layouts import LAYOUTS
    from luthier.data.readers import by_ending

    print(f"Files: {', '.join(by_ending())}, also packed as .gz")
    print("Text: UTF-8, UTF-16, GB18030, Big5 and others are found; --encoding names one")
    print("Data sets of the `datasets` library: folder, folder/config:test, owner/name, owner/name/config:test")
    print("Two files of lines, the second the answers to the first: --pair a.fr,b.en")
    print("Rows (--map COLUMN=FIELD names other columns):")
    for layout in LAYOUTS:
        print(f"  {layout.name:<34} {layout.task}")
    print("Conversations may have a verdict (label, thumbs, feedback, 点赞…): answers found bad are not learned")


def sets() -> None:
    """Names and what they are."""
    from luthier.data import embedded

    for name in embedded.names():
        if found := embedded.find(name):
            print(f"  {name:<13} {found.about}")
    print("Open data sets, fetched by name: luthier data get --list")
