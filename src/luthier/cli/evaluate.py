"""`luthier eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DATA = "file with inputs and what is wanted, or an embedded name; of a run on two files of lines both: a.fr,b.en"
HELP = """Score a finished run on another labelled file.

Columns are mapped as in the run's own recipe unless --map, --labels or --instruction says otherwise. The scores, with
95 % intervals, are written to RUN/evaluations/NAME.json.

Example: luthier eval RUN new.jsonl --map question=text,topic=label
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("eval", help=HELP)(evaluate)


def evaluate(
    run: Annotated[Path, typer.Argument(help="run folder, such as a comparison's trials/lora/seed-0")],
    data: Annotated[
        str,
        typer.Argument(help=DATA),
    ],
    map: Annotated[str | None, typer.Option(help="column=field by comma, such as 0=text,1=label")] = None,
    labels: Annotated[str | None, typer.Option(help="raw=name by comma, such as 0=negative,1=positive")] = None,
    instruction: Annotated[str | None, typer.Option(help="what to do, said before every input")] = None,
    encoding: Annotated[str, typer.Option(help="of files that are not UTF-8: gb18030, big5…")] = "",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave broken rows out and list them")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="use this many random rows")] = None,
    template: Annotated[Path | None, typer.Option(help="file with another wording (luthier prompt search)")] = None,
    name: Annotated[str | None, typer.Option(help="of the result; the file's name without it")] = None,
) -> None:
    """Read, score, write."""
    from luthier.cli.common import pairs, parts, rows_bar
    from luthier.data.asked_file import inherited_by
    from luthier.data.paired import instruction_of
    from luthier.io.config import DataConfig, read_recipe
    from luthier.runs.evaluate import evaluate_run, spoken

    known = read_recipe(run / "recipe.yaml").data if (run / "recipe.yaml").is_file() else DataConfig()
    lines = tuple(parts(data)) if known.pair and "," in data else ()  # two files of lines, as the run's own
    if lines and instruction is None:
        instruction = instruction_of(known.pair, known.instruction)
    config = DataConfig(
        path=lines[0] if lines else data,
        map=known.map if map is None else pairs(map, "--map"),
        labels=known.labels if labels is None else pairs(labels, "--labels"),
        instruction=known.instruction if instruction is None else instruction,
        skip_bad=skip_bad,
        limit=limit,
        encoding=encoding or inherited_by(Path(data), known.encoding),
        fill=known.fill,
        anyway=known.anyway,
        pair=lines,
    )
    with rows_bar("scoring") as say:
        result = evaluate_run(run, config, name, say, template)
    print("\n".join([*spoken(result), f"Written: {result['path']}"]))
