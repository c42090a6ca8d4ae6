"""`luthier prompt`: search for a wording, see how sure it is, make long prompts short."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from luthier.cli.common import ANYWAY, add_group

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
ROBUST = """Measure how far quality moves when the prompt of a run is changed without changing what it means.

Typing errors and other case, in the wording and in the input; another order of the options; paraphrases by a model.
Each variant is scored on the same validation rows; RUN/robust.json and robust.html get the changes with 95 % intervals.

Example: luthier prompt robust runs/wording --draws 3 --rows 60
"""
COMPRESS = """Leave out of a long prompt what the model itself finds least informative.

INPUT is a text file: what is left of it goes to --out, or is printed. With --curve it is data with input and output:
quality is measured with inputs cut to each share, beside words left out at random, and plotted into --out.

Example: luthier prompt compress long.txt --keep 0.5 --out short.txt

On data: luthier prompt compress debug --curve 0.8,0.6,0.4,0.2 --out debug.html
"""
OUT_DATA = "file, data set or embedded name (luthier data sets)"
ENDPOINT = "limits for a server by comma: max_calls=500,timeout=30 (for the model and for the proposer)"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    add_group(app, "prompt", HELP, search=(SEARCH, search), robust=(ROBUST, robust), compress=(COMPRESS, compress))


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
    encoding: Annotated[str, typer.Option(help="of files that are not UTF-8: gb18030, big5…")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="use this many rows of DATA")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave broken rows out and list them")] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help=ANYWAY)] = False,
    endpoint: Annotated[str | None, typer.Option(help=ENDPOINT)] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the rows' order and of what is written")] = 0,
    beside: Annotated[int, typer.Option(min=0, help="rows on which wordings stand side by side")] = 6,
    out: Annotated[Path | None, typer.Option(help="folder of the results")] = None,
    again: Annotated[bool, typer.Option("--again", help="begin anew; what stands there is set aside")] = False,
) -> None:
    """Make the recipe, run it, write the pages."""
    from luthier.api.training import train
    from luthier.cli.common import pairs, resumable, training_bar
    from luthier.io.config import recipe_from
    from luthier.io.files import read_json

    limits = pairs(endpoint, "--endpoint")
    direct: dict[str, Any] = {
        "templates": str(templates or ""), "bundle": bundle, "proposer": proposer, "write": write, "calls": calls,
        "rounds": rounds, "score": score, "endpoint": limits,
    }  # fmt: skip
    recipe = recipe_from({
        "method": "hard_prompt", "model": model, "direct": direct, "seed": seed, "endpoint": limits,
        "data": {"path": data, "map": pairs(map, "--map"), "labels": pairs(labels, "--labels"), "metric": metric,
                 "instruction": instruction, "encoding": encoding, "limit": limit, "skip_bad": skip_bad,
                 "anyway": anyway},
    })  # fmt: skip
    with resumable():
        with training_bar("hard_prompt") as say:
            folder = train(recipe, out, say, again)
        from luthier.reports.prompts.results import publish

        best = publish(folder, beside)
    result = read_json(folder / "eval.json")
    print(f"Best wording: {best.text!r}")
    for note in result.get("notes", ()):
        print(f"  {note}")
    print(measured_on(result))
    print(f"Template: {folder / 'template.json'}\nPages: {folder / 'search.html'} {folder / 'wordings.html'}")


def measured_on(result: Mapping[str, Any]) -> str:
    """The score on rows that the search never saw, with its interval. result: of `eval.json`."""
    from luthier.core.metric import scale, title
    from luthier.evals.resampled import score

    metric, per_row = str(result["metric"]), result["per_row"]
    found, by = score(result), scale(metric)
    low, high = by * found.low, by * found.high
    return (
        f"{title(metric)}: {by * found.value:.1f} (95 % {low:.1f} to {high:.1f}) on {len(per_row)} held-out rows that "
        f"the search never saw"
    )


def robust(
    run: Annotated[Path, typer.Argument(help="folder of a run whose prompt is measured")],
    template: Annotated[Path | None, typer.Option(help="file with another wording than the run's")] = None,
    rows: Annotated[int, typer.Option(min=2, help="validation rows at most")] = 60,
    draws: Annotated[int, typer.Option(min=1, max=20, help="variants of each kind that is drawn")] = 3,
    proposer: Annotated[str, typer.Option(help="model or http://…#name that paraphrases; the base without it")] = "",
    endpoint: Annotated[str | None, typer.Option(help=ENDPOINT)] = None,
    seed: Annotated[int, typer.Option(min=0, help="of what is drawn")] = 0,
) -> None:
    """Load the run, measure, write."""
    from luthier.api.prompts import measured
    from luthier.cli.common import pairs, rows_bar
    from luthier.io.config import EndpointConfig, build
    from luthier.io.files import write_json
    from luthier.reports.prompts import robustness

    limits = build(EndpointConfig, pairs(endpoint, "--endpoint"), "--endpoint")
    with rows_bar("variants") as say:
        worded, result = measured(run, template, rows, draws, proposer, limits, seed, say)
    write_json(run / "robust.json", result)
    robustness.write_page(run / "robust.html", run.name, worded, result)
    print("\n".join([*robustness.spoken(result), *result["failed"], f"Page: {run / 'robust.html'}"]))


def compress(
    input: Annotated[str, typer.Argument(help="text file; with --curve, data with input and output, such as notes")],
    keep: Annotated[float | None, typer.Option(help="share of the tokens to keep, 0 to 1; 0.5 without it")] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="tokens to keep at most, in place of --keep")] = None,
    curve: Annotated[str | None, typer.Option(help="shares by comma at which quality is measured: 0.8,0.5,0.3")] = None,
    rows: Annotated[int, typer.Option(min=2, help="rows that are measured at most, with --curve")] = 40,
    score: Annotated[str, typer.Option(help="likelihood of what is wanted, or metric (slower)")] = "likelihood",
    model: Annotated[str, typer.Option(help="folder, .gguf file or hub id of a causal model")] = "embedded",
    seed: Annotated[int, typer.Option(min=0, help="of the words that are left out at random")] = 0,
    out: Annotated[Path | None, typer.Option(help="file to write; with --curve a page (.html)")] = None,
) -> None:
    """Shorten a text, or measure what that costs on data."""
    from luthier.api import prompts
    from luthier.cli.common import rows_bar
    from luthier.core.errors import LuthierError
    from luthier.io.files import write_text

    if out and out.is_dir():
        raise LuthierError(f"--out {out}: it is a folder: name a file")
    if curve is not None and (tokens or keep is not None):
        raise LuthierError("--curve measures its own shares: leave out --keep and --tokens")
    if curve is None:
        keep = 0.5 if keep is None else keep
        with rows_bar("reading", "tokens") as say:
            short, before, after = prompts.shortened(Path(input), keep, tokens, model, say)
        if out:
            write_text(out, short)
        print(short if out is None else f"{after} of {before} tokens kept: {out}")
        return
    page = out or Path(f"{Path(input).stem}-compress.html")
    with rows_bar("lengths") as say:
        lines = prompts.plotted(input, prompts.shares(curve), rows, score, model, seed, page, say)
    print("\n".join([*lines, f"Page: {page}"]))
