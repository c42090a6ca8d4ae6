"""`luthier adapters mix`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from luthier.cli.common import add_group

HELP = """Several adapters on one base.

Example: luthier adapters mix RUN_A=0.7 RUN_B=0.3 --out runs/mixed
"""
MIX = """Mix adapters of the LoRA kind by weight into one.

Each part is a run folder, or a folder in PEFT's layout, with its weight: the mix is the weighted sum of their updates,
exact, with the sum of their ranks. It is written as a run folder, which predict, chat, eval and export take; its
wording is that of the first part. One part with weight 1 makes a run of an adapter that PEFT wrote.

Example: luthier adapters mix RUN_A=0.7 RUN_B=0.3 --out runs/mixed
"""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    add_group(app, "adapters", HELP, mix=(MIX, mix))


def mix(
    parts: Annotated[list[str], typer.Argument(help="FOLDER=WEIGHT, one or several")],
    out: Annotated[Path, typer.Option(help="the new run folder")],
) -> None:
    """Read, add up, write."""
    from luthier.core.errors import LuthierError

    weights: dict[Path, float] = {}
    for part in parts:
        folder, equals, weight = part.rpartition("=")
        try:
            value = float(weight)
        except ValueError:
            value = float("nan")
        if not equals or not folder or value != value:
            raise LuthierError(f"{part}: write a folder and its weight, such as runs/support=0.7")
        if Path(folder) in weights:
            raise LuthierError(f"{folder} is given twice: add its weights up")
        weights[Path(folder)] = value
    from luthier.runs.mixing import mix_folders

    mix_folders(weights, out)
    print(f"Run folder: {out}")
