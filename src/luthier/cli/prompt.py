"""`luthier prompt`: search for a wording, see how sure it is, make long prompts short."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

HELP = """Find a good wording, see how sure it is, make long prompts short. No weight is touched.

Example: luthier prompt search de-en --calls 300
"""
SEARCH = """Try many wordings on training rows, rewrite the best, and keep the best of all.

Wordings come from --templates (a .txt file with one a line, or .jsonl with {"text": …}; each has {input}), from the
package, and from a language model that sees training examples. A number of model calls is spent by successive halving.
OUT gets template.json (for --template), search.jsonl, search.html and wordings.html, and is a run folder for predict,
eval and chat. Killed, it goes on where it was.

Example: luthier prompt search de-en --templates mine.txt --calls 300 --out runs/wording
"""
OUT_DATA = "file, data set or embedded name (luthier data sets)"
ENDPOINT = "limits for a server by comma: max_calls=500,timeout=30 (for the model and for the proposer)"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode=None)
    group.command("search", help=SEARCH)(search)
    app.add_typer(group, name="prompt")


def search(
    data: Annotated[str, typer.Argument(help=OUT_DATA)],
    templates: Annotated[Path | None, typer.Option(help="file of wordings, each with {input}")] = None,
    bundle: Annotated[str, typer.Option(help="wordings of the package by comma, or none; those that fit without")] = "",
    proposer: Annotated[
        str, typer.Option(help="model or http://…#name that writes wordings; the base without it")
    ] = "",
    write: Annotated[int, typer.Option(min=0, max=99, help="wordings written a round")] = 4,
    calls: Annotated[int, typer.Option(min=1, help="model calls in all: a row scored, or a wording written")] = 480,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="rounds of halving and rewriting")] = 3,
    score: Annotated[str, typer.Option(help="likelihood or metric; auto takes what the model gives")] = "auto",
    model: Annotated[str, typer.Option(help="folder, .gguf file, hub id, or http://HOST:PORT/v1#name")] = "embedded",
    metric: Annotated[str, typer.Option(help="score that decides, such as token_f1; the task's own without it")] = "",
    map: Annotated[str | None, typer.Option(help="column=field by comma, such as 0=text,1=label")] = None,
    labels: Annotated[str | None, typer.Option(help="raw=name by comma, such as 0=negative,1=positive")] = None,
    instruction: Annotated[str | None, typer.Option(help="what to do, said before every input")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="use this many rows of DATA")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave broken rows out and list them")] = False,
    endpoint: Annotated[str | None, typer.Option(help=ENDPOINT)] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the rows' order and of what is written")] = 0,
    beside: Annotated[int, typer.Option(min=0, help="rows on which wordings stand side by side")] = 6,
    out: Annotated[Path | None, typer.Option(help="folder of the results")] = None,
) -> None:
    """Make the recipe, run it, write the pages."""
    from luthier.api import train
    from luthier.cli.common import pairs, resumable, training_bar
    from luthier.config import recipe_from
    from luthier.files import read_json

    limits = pairs(endpoint, "--endpoint")
    direct: dict[str, Any] = {
        "templates": str(templates or ""), "bundle": bundle, "proposer": proposer, "write": write, "calls": calls,
        "rounds": rounds, "score": score, "endpoint": limits,
    }  # fmt: skip
    recipe = recipe_from({
        "method": "hard_prompt", "model": model, "direct": direct, "seed": seed, "endpoint": limits,
        "data": {"path": data, "map": pairs(map, "--map"), "labels": pairs(labels, "--labels"), "metric": metric,
                 "instruction": instruction, "limit": limit, "skip_bad": skip_bad},
    })  # fmt: skip
    with resumable():
        with training_bar("hard_prompt") as say:
            folder = train(recipe, out, say)
        from luthier.prompts.results import publish

        best = publish(folder, beside)
    result = read_json(folder / "eval.json")
    print(f"Best wording: {best.text!r}")
    for note in result.get("notes", ()):
        print(f"  {note}")
    print(
        f"{result['metric']} {result['score']:.3f} on {len(result['per_row'])} held-out rows that the search never saw"
    )
    print(f"Template: {folder / 'template.json'}\nPages: {folder / 'search.html'} {folder / 'wordings.html'}")
