"""`luthier compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from luthier.cli.common import ANYWAY, FILL, fills, numbers, pairs, parts, resumable

MODEL = (
    "embedded, embedded-encoder, folder, .gguf file, hub id, or http://HOST:PORT/v1#name; may be given several times"
)
LIMIT = "use so many random rows of DATA, split 60/20/20 (80/20 with --test); rows also in the test file do not count"
LIMIT_TEST = "use so many test rows: of --test, or of the fifth that is held out, which may have fewer"
MAX_LENGTH = "tokens of a prompt with its answer, in training, scoring and generation; 1,024 in training without it"
BATCH = "rows of a training step; without it 8, or fewer where the budget is small"
PREFER = "quality, cost, size or latency: which of the rows that cannot be told from the best is recommended"
JUDGE = (
    "who compares written answers with the untuned model's: run of a reward, re:PATTERN, FILE.py:FUNCTION, ask:MODEL"
)
REWARD = (
    "what best_of_n, ppo and grpo go by: run of a reward, re:PATTERN, FILE.py:FUNCTION, MODULE:FUNCTION or an address"
)
CLASS_WEIGHTS = "balanced: in training each label weighs as much, however many rows it has"
ANSWER_TOKENS = "most tokens of a written answer; without it a fifth more than the longest training answer has"
ENDPOINT = "limits for a server by comma: max_calls=500,max_cost=2,price_in=0.1,price_out=0.4 (per 1,000 tokens)"
METHODS = "names by comma (luthier methods), with an objective as in lora/lm; without it one of each kind"
METHODS_FILE = "YAML of named entries, tried besides: lora-r64: {patch: lora, objective: sft, options: {rank: 64}}"
EXAMPLE = """Try many ways of adapting a model on your data and see which is worth it.

Without DATA it runs on embedded customer messages with the embedded model, without --methods with one of each kind,
and without a budget it takes about ten minutes (--total), which is said before it starts. Killed, it goes on where it
was when the same command is given again; with other data or another model than it began with, it is refused.

Example: luthier compare mine.jsonl --total 15m --methods zero_shot,features,lora --seeds 3

Several bases: luthier compare mine.jsonl --model embedded --model http://127.0.0.1:8080/v1#name

Everything that trains a share of the weights: luthier compare mine.jsonl --family peft

How many rows do I need: luthier compare mine.jsonl --curve 32,64,128,256

Two files of lines, translations say: luthier compare --pair corpus.fr,corpus.en
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("compare", help=EXAMPLE)(compare)


def compare(
    data: Annotated[str, typer.Argument(help="file, data set or embedded name (luthier data sets)")] = "tickets",
    pair: Annotated[str | None, typer.Option(help="two files of lines instead, by comma: a.fr,b.en")] = None,
    test: Annotated[Path | None, typer.Option(help="held-out file; without it 20 % of the rows are held out")] = None,
    model: Annotated[list[str] | None, typer.Option(help=MODEL)] = None,
    methods: Annotated[str, typer.Option(help=METHODS)] = "",
    methods_file: Annotated[Path | None, typer.Option(help=METHODS_FILE)] = None,
    family: Annotated[str, typer.Option(help="peft: all that train, direct: all that do not; or all")] = "",
    total: Annotated[str, typer.Option(help="time of the whole comparison, shared out; 10m without --budget")] = "",
    budget: Annotated[str, typer.Option(help="instead: training of each method and seed: 90s, 3m, 20k-tokens")] = "",
    seeds: Annotated[int, typer.Option(min=1, help="final runs of each method")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help=LIMIT)] = None,
    limit_test: Annotated[int | None, typer.Option(min=1, help=LIMIT_TEST)] = None,
    map: Annotated[str | None, typer.Option(help="column=field by comma, such as 0=text,1=label")] = None,
    labels: Annotated[str | None, typer.Option(help="raw=name by comma, such as 0=negative,1=positive")] = None,
    instruction: Annotated[str | None, typer.Option(help="what to do, said before every input")] = None,
    encoding: Annotated[str, typer.Option(help="of files that are not UTF-8: gb18030, big5…")] = "",
    fill: Annotated[str | None, typer.Option(help=FILL)] = None,
    docs: Annotated[Path | None, typer.Option(help="folder of documents that questions are about")] = None,
    metric: Annotated[str, typer.Option(help="score that decides, such as token_f1; the task's own without it")] = "",
    prefer: Annotated[str, typer.Option(help=PREFER)] = "quality",
    judge: Annotated[str, typer.Option(help=JUDGE)] = "",
    reward: Annotated[str, typer.Option(help=REWARD)] = "",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave broken rows out and list them")] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help=ANYWAY)] = False,
    max_length: Annotated[int | None, typer.Option(min=2, help=MAX_LENGTH)] = None,
    batch: Annotated[int | None, typer.Option(min=1, help=BATCH)] = None,
    class_weights: Annotated[str, typer.Option(help=CLASS_WEIGHTS)] = "",
    answer_tokens: Annotated[int | None, typer.Option(min=1, help=ANSWER_TOKENS)] = None,
    curve: Annotated[str | None, typer.Option(help="also with this many training rows: 32,64,128,256")] = None,
    endpoint: Annotated[str | None, typer.Option(help=ENDPOINT)] = None,
    track: Annotated[str | None, typer.Option(help="tell these by comma: tensorboard, trackio, mlflow, wandb")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask before more than ten minutes of a --budget")] = False,
    out: Annotated[Path | None, typer.Option(help="folder of the results")] = None,
    again: Annotated[bool, typer.Option("--again", help="begin anew; what stands there is set aside")] = False,
) -> None:
    """Parse the options and run."""
    from luthier.comparison.execution.supervisor import run
    from luthier.comparison.plan import make_request
    from luthier.comparison.specs import read_grid

    options: dict[str, Any] = {
        "path": data, "test": str(test) if test else None, "map": pairs(map, "--map"),
        "labels": pairs(labels, "--labels"), "instruction": instruction, "skip_bad": skip_bad, "limit": limit,
        "limit_test": limit_test, "metric": metric, "docs": str(docs) if docs else None,
        "encoding": encoding, "fill": fills(fill), "anyway": anyway, "pair": parts(pair),
        "answer_tokens": answer_tokens, "class_weights": class_weights,
    }  # fmt: skip
    request = make_request(
        options, models=model or [], methods=[*parts(methods), *parts(family)], budget=budget, seeds=seeds,
        curve=numbers(curve, "--curve"), endpoint=pairs(endpoint, "--endpoint"), track=parts(track), total=total,
        max_length=max_length, batch=batch, prefer=prefer, grid=read_grid(methods_file) if methods_file else None,
        methods_file=str(methods_file or ""), judge=judge, reward=reward,
    )  # fmt: skip
    folder = out or request.folder
    with resumable():
        run(request, folder, again, _ask if not (yes or total) and _attended() else None)
    _show(folder)


def _show(folder: Path) -> None:
    """The finished comparison; exit status 1 where no method finished."""
    from rich.console import Console

    from luthier.reports.comparison.publish import publish
    from luthier.reports.comparison.terminal import print_leaderboard

    board, details = publish(folder)
    console = Console()
    print_leaderboard(board, console, details)
    if (folder / "report.html").exists():
        console.print(f"\nReport: {folder / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
    if board["best"] is None:
        raise typer.Exit(1)


def _attended() -> bool:
    """Whether somebody reads what is printed and can answer: a terminal on both ends, and a job in the foreground."""
    import os
    import sys

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return not hasattr(os, "tcgetpgrp") or os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()


def _ask(seconds: float) -> bool:
    from luthier.evals.formatting import duration

    return typer.confirm(f"This takes about {duration(seconds)}. Go on?", default=True)
