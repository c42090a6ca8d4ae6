"""`luthier pretrain`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from luthier.cli.common import rows_bar
from luthier.core.torchrun import leads
from luthier.corpus import check_installed

HELP = """Train a language model from its first step: text, tokenizer, token stream, model, and what a byte costs it.

The recipe names a text (a name such as shakespeare, files, folders) and a shape (depth scales the rest), or a model to
go on with. DIR is a run folder: DIR/model is what transformers loads, DIR/report.html says what was measured. A killed
command goes on where it was. Several processes train together where torchrun starts them:
torchrun --nproc-per-node 2 -m luthier pretrain recipes/tiny-en.yaml --out tiny parallel.data=2

Example: luthier pretrain recipes/tiny-en.yaml --out tiny
"""


BITS = {
    "bits_per_byte": "",
    "second_half_bits_per_byte": ", second halves behind the first (another task than the others')",
    "masked_bits_per_byte": ", masked tokens told from those around them (another task than the others')",
}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("pretrain", help=HELP)(pretrain)


def pretrain(
    recipe: Annotated[Path, typer.Argument(help="recipe.yaml")],
    given: Annotated[list[str] | None, typer.Argument(help="key=value settings on top", metavar="KEY=VALUE")] = None,
    out: Annotated[Path, typer.Option(help="the run folder")] = Path("pretrained"),
) -> None:
    """Read the recipe and run."""
    check_installed()
    from luthier.cli.common import resumable, training_bar
    from luthier.pretrain.plan import told
    from luthier.pretrain.recipe import read_recipe
    from luthier.pretrain.run import run
    from luthier.reports.pretraining_page import PAGE

    asked = read_recipe(recipe, tuple(given or ()))
    if not leads():
        run(asked, out, rows_bar)
        return
    if line := told(asked):
        print(line)
    with resumable(), training_bar("pretrain") as say:
        found = run(asked, out, partial(rows_bar, what="parts"), say)
    beside = f"5-gram of bytes {found['byte_5gram']:.3f}, xz {found['xz']:.3f}"
    for name, what in BITS.items():
        if name in found:
            print(f"Bits a byte of held-out text{what}: {found[name]:.3f}; {beside}")
    print(f"Model: {out / 'model'}")
    print(f"Page: {out / PAGE}")
