"""`luthier plan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from luthier.planning.job import Job

HELP = """Say what a run will take, before it begins: parameters, arithmetic, memory by part, time and cost.

The recipe is one of luthier train or luthier pretrain; of a model whose weights are not here config.json is enough.
The training step is run on tensors without numbers, its operations are timed here at the model's own shapes, and --on
names other hardware.

Example: luthier plan recipes/tiny-en.yaml --on h100x8
"""
OTHER = "hardware that is not here (h100, h200, a100, rtx4090, l4), several as h100x8; may be given several times"
OF_TEXT = ("text", "stream", "shape")  # keys that recipes of pre-training alone have


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("plan", help=HELP)(plan)


def plan(
    recipe: Annotated[Path, typer.Argument(help="recipe.yaml")],
    given: Annotated[list[str] | None, typer.Argument(help="key=value settings on top", metavar="KEY=VALUE")] = None,
    on: Annotated[list[str] | None, typer.Option(help=OTHER)] = None,
    price: Annotated[float | None, typer.Option(min=0, help="dollars an hour of one machine")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="a record instead of lines")] = False,
) -> None:
    """Read the recipe, plan, print."""
    import json

    from luthier.io.config import read_values

    values = read_values(recipe, given or ())
    job = _of_text(recipe, given or []) if any(key in values for key in OF_TEXT) else _of_rows(values)
    from luthier.planning.plan import machine_of, made, settled
    from luthier.planning.spoken import lines, record

    machines = [machine_of(text, price) for text in on or []]
    plans = [made(settled(job, machine), machine, price) for machine in (None, *machines)]
    if as_json:
        print(json.dumps([record(found) for found in plans], ensure_ascii=False, indent=1))
        return
    for at, found in enumerate(plans):
        print("\n".join(["", *lines(found)] if at else lines(found)))


def _of_rows(values: dict[str, object]) -> Job:
    from luthier.io.config import options, recipe_from

    recipe = recipe_from(values)
    options(recipe)
    from luthier.planning.job import job_of

    return job_of(recipe)


def _of_text(path: Path, given: list[str]) -> Job:
    from luthier.pretrain.recipe import read_recipe

    recipe = read_recipe(path, tuple(given))
    from luthier.pretrain.plan import job_of

    return job_of(recipe)
