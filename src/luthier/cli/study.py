"""`luthier study`: a command for every file in `study/studies/`."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from luthier.cli.common import ANYWAY, add_group, pairs, resumable

HELP = """Experiments of the field on your model and your data, under an equal budget, with intervals.

Each gives tables in the terminal and a page with pictures. Killed, it goes on where it was when the same command is
given again.

Example: luthier study lora-init --budget 3m
"""
DATA = "file, data set or embedded name (luthier data sets), or a text by name; the study's own unless given"
MODEL = "folder, .gguf file or hub id of the base; twice where a study is about two"


def add_to(app: typer.Typer) -> None:
    """Register a command for every study; its help is its file's docstring."""
    from luthier.study.catalog import listed

    add_group(app, "study", HELP, **{entry.name: (entry.help, _command(entry.name, entry.takes)) for entry in listed()})


def _command(name: str, takes: tuple[str, ...]) -> Callable[..., None]:
    """takes: options that the study has use for; none named are all."""

    def study(
        data: Annotated[str, typer.Argument(help=DATA)] = "",
        test: Annotated[str | None, typer.Option(help="held-out file; without it 20 % are held out")] = None,
        model: Annotated[list[str] | None, typer.Option(help=MODEL)] = None,
        budget: Annotated[str, typer.Option(help="of all training together: 5m, 200k-tokens; else its own")] = "",
        seeds: Annotated[int | None, typer.Option(min=1, help="runs of each setting; 2 unless given")] = None,
        limit: Annotated[int | None, typer.Option(min=1, help="use this many rows of DATA")] = None,
        limit_test: Annotated[int | None, typer.Option(min=1, help="score on this many test rows")] = 60,
        map: Annotated[str | None, typer.Option(help="column=field by comma, such as 0=text,1=label")] = None,
        labels: Annotated[str | None, typer.Option(help="raw=name by comma, such as 0=negative,1=positive")] = None,
        instruction: Annotated[str | None, typer.Option(help="what to do, said before every input")] = None,
        encoding: Annotated[str, typer.Option(help="of files that are not UTF-8: gb18030, big5…")] = "",
        anyway: Annotated[bool, typer.Option("--anyway", help=ANYWAY)] = False,
        set: Annotated[list[str] | None, typer.Option(help="a setting of the study, such as rank=4")] = None,
        out: Annotated[Path | None, typer.Option(help="folder of the results")] = None,
        again: Annotated[bool, typer.Option("--again", help="begin anew; what stands there is set aside")] = False,
    ) -> None:
        section = {
            "path": data,
            "test": test,
            "map": pairs(map, "--map"),
            "labels": pairs(labels, "--labels"),
            "instruction": instruction,
            "encoding": encoding,
            "anyway": anyway,
            "limit": limit,
            "limit_test": limit_test,
        }
        _run(name, section, tuple(model or ()), budget, seeds, set or [], out, again)

    if takes:
        whole = inspect.signature(study, eval_str=True)
        kept = [parameter for parameter in whole.parameters.values() if parameter.name in takes]
        vars(study)["__signature__"] = whole.replace(parameters=kept)
    return study


def _run(
    name: str,
    section: dict[str, Any],
    models: tuple[str, ...],
    budget: str,
    seeds: int | None,
    settings: list[str],
    out: Path | None,
    again: bool,
) -> None:
    from luthier.comparison.budget import parse_budget
    from luthier.io.config import DataConfig, build
    from luthier.study.catalog import load
    from luthier.study.options import read_options
    from luthier.study.runner import Request, run

    if budget:
        parse_budget(budget)
    kind = load(name)
    section["path"] = section["path"] or kind.about
    data, seeds = build(DataConfig, section, "data"), seeds or kind.seeds
    request = Request(name, read_options(name, settings), data, models or kind.models, budget, seeds)
    study = request.made()
    folder = out or request.folder
    with resumable(), _bar(name) as say:
        result = run(request, folder, say, again, _documents)
    from rich.console import Console

    from luthier.reports.study.page import write_page
    from luthier.reports.study.terminal import print_finding

    found = study.finding(result.models)
    write_page(result, found, folder / "report.html")
    console = Console()
    print_finding(found, console)
    console.print(f"\nReport: {folder / 'report.html'}", markup=False, highlight=False, soft_wrap=True)


def _documents(name: str) -> list[tuple[str, str]]:
    """Of a text by name, or a file."""
    from luthier.corpus import check_installed

    check_installed()
    from luthier.pretrain.prepare import named

    return named((name,))


@contextmanager
def _bar(name: str) -> Iterator[Callable[[str, float], None]]:
    """A bar with the time left over the whole study; a line a run where there is no terminal."""
    from rich.console import Console

    from luthier.cli.common import _bar as bar_on

    console = Console(stderr=True)
    bar = bar_on(console)
    task = bar.add_task(f"study {name}", total=1.0, more="")
    said, begun = "", time.monotonic()

    def say(what: str, share: float) -> None:
        nonlocal said
        bar.update(task, completed=share, more=what)
        title = what.split(":")[0]
        if not console.is_terminal and title != said:
            said = title
            left = (time.monotonic() - begun) * (1 - share) / share if share > 0.02 else None
            more = f", about {left:.0f} s left" if left is not None else ""
            console.print(f"study {name}, {share:.0%}{more}: {title}", markup=False, highlight=False)

    with bar:
        yield say
