"""`luthier train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from luthier.core.torchrun import leads

HELP = """Run one method once, from a recipe.

The recipe is a YAML file; a.b=c on the command line comes on top. Without a recipe the defaults are used. Killed, it
resumes when the same command is given again; with other data or another model than it began with, it is refused.
Several processes train together where torchrun starts them: torchrun --nproc-per-node 2 -m luthier train recipe.yaml

Example: luthier train recipe.yaml patch.rank=16 training.tokens=50000
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("train", help=HELP)(train)


def train(
    settings: Annotated[list[str] | None, typer.Argument(help="recipe.yaml and key=value settings")] = None,
    template: Annotated[Path | None, typer.Option(help="file with the wording (luthier prompt search)")] = None,
    out: Annotated[Path | None, typer.Option(help="the run folder")] = None,
    again: Annotated[bool, typer.Option("--again", help="begin anew; what stands there is set aside")] = False,
) -> None:
    """Parse the recipe and run."""
    from luthier.api.training import train as run
    from luthier.cli.common import resumable, training_bar
    from luthier.core.errors import LuthierError
    from luthier.io.config import read_recipe
    from luthier.io.files import read_json
    from luthier.reports.rollouts_page import write_page

    given = settings or []
    files = [s for s in given if "=" not in s]
    if len(files) > 1:
        raise LuthierError(f"one recipe at a time, not {', '.join(files)}")
    recipe = read_recipe(Path(files[0]) if files else None, [s for s in given if "=" in s])
    recipe = replace(recipe, template=str(template)) if template else recipe
    if not leads():
        run(recipe, out, again=again)
        return
    told: list[str] = []

    def tell(note: str) -> None:
        told.append(note)
        print(f"  {note}")

    with resumable(), training_bar(recipe.method) as say:
        folder = run(recipe, out, say, again, tell)
    result = read_json(folder / "eval.json")
    print(f"{recipe.method}: {result['metric']} {result['score']:.3f} on {len(result['per_row'])} held-out rows")
    if held := result.get("base_bytes"):
        share = held / result["base_bytes_bf16"]
        print(
            f"Linear weights of the base: {held / 1e6:.1f} MB in memory, {share:.2f} of their size in bf16, "
            f"{2 * share:.2f} bytes a weight"
        )
    for note in [note for note in result.get("notes", ()) if note not in told]:
        print(f"  {note}")
    if page := write_page(folder):
        print(f"Page: {page}")
    print(f"Run folder: {folder}")
