"""`luthier runs list|show|diff|remove`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from luthier.cli.common import add_group

HELP = """List, show, compare and remove runs and comparisons on disk.

Example: luthier runs list
"""
LIST = """List runs and comparisons, newest first: method, data, model, score, date, size, whether complete.

Example: luthier runs list runs --all
"""
SHOW = """Show one run or comparison: settings that are not the defaults, scores, environment.

Example: luthier runs show runs/lora-tickets-1a2b3c4d
"""
DIFF = """Show in which settings and scores two runs or two comparisons differ.

Example: luthier runs diff runs/lora-tickets-1a2b3c4d runs/lora-tickets-5e6f7a8b
"""
REMOVE = """Remove runs or comparisons; says what that frees, and asks first.

Only a run or comparison folder inside the folder of runs is removed, and no link is followed.

Example: luthier runs remove lora-tickets-1a2b3c4d
"""
RUNS = Path("runs")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    add_group(app, "runs", HELP, list=(LIST, list_runs), show=(SHOW, show), diff=(DIFF, diff), remove=(REMOVE, remove))


def list_runs(
    folder: Annotated[Path, typer.Argument(help="folder of runs")] = RUNS,
    all: Annotated[bool, typer.Option("--all", help="the runs inside comparisons, too")] = False,
) -> None:
    """One line each."""
    from rich.console import Console
    from rich.table import Table

    from luthier.reports.run_list import find

    table = Table("run", "method", "data", "model", "score", "date", "size", "state", box=None, pad_edge=False)
    for e in find(folder, inside=all):
        cells = (str(e.path.relative_to(folder)), e.method, _short(e.data), _short(e.model), _score(e.metric, e.score))
        table.add_row(*map(_plain, (*cells, e.date, spoken_size(e.size), e.state)))
    console = Console()
    console.print(table if table.row_count else f"no runs in {folder}", markup=False)


def show(run: Annotated[Path, typer.Argument(help="run or comparison folder")]) -> None:
    """By part."""
    from luthier.reports.run_list import entry, facts

    e = entry(run)
    print(f"{run}: {e.method} on {e.data} with {e.model}, {e.state}, {e.date}, {spoken_size(e.size)}")
    for part, values in facts(run).items():
        base = _defaults(e.kind) if part == "settings" else {}
        changed = {k: v for k, v in values.items() if k not in base or base[k] != v}
        print(f"\n{part}{' that are not the defaults' if part == 'settings' else ''}:")
        for key, value in changed.items():
            print(f"  {key}: {_said(value)}")


def diff(
    one: Annotated[Path, typer.Argument(help="run or comparison folder")],
    two: Annotated[Path, typer.Argument(help="another of the same kind")],
) -> None:
    """Lines of key, one, two."""
    from luthier.core.errors import LuthierError
    from luthier.reports.run_list import entry, facts

    if entry(one).kind != entry(two).kind:
        raise LuthierError(f"{one} is a {entry(one).kind} and {two} a {entry(two).kind}: name two of one kind")
    left, right = facts(one), facts(two)
    same = True
    for part in dict.fromkeys([*left, *right]):
        a, b = left.get(part, {}), right.get(part, {})
        keys = [k for k in dict.fromkeys([*a, *b]) if a.get(k) != b.get(k) or (k in a) != (k in b)]
        if keys:
            same = False
            print(f"{part}:")
        for key in keys:
            print(f"  {key}: {_said(a[key]) if key in a else '-'} | {_said(b[key]) if key in b else '-'}")
    if same:
        print("nothing differs")


def remove(
    runs: Annotated[list[Path], typer.Argument(help="run or comparison folders, by path or by name")],
    folder: Annotated[Path, typer.Option("--runs", help="the folder of runs they stand in")] = RUNS,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Check all, say, ask, delete."""
    from luthier.reports import run_list

    found = {e.path.resolve(): e for e in (run_list.removable(path, folder) for path in runs)}
    inner = [place for place in found if any(parent in found for parent in place.parents)]
    entries = [e for place, e in found.items() if place not in inner]
    for e in entries:
        print(f"{e.path}: {e.kind}, {e.method} on {e.data}, {e.state}, {spoken_size(e.size)}")
    total = spoken_size(sum(e.size for e in entries))
    if not yes:
        typer.confirm(f"Remove {'it' if len(entries) == 1 else 'them'} and free {total}?", abort=True)
    for e in entries:
        run_list.remove(e)
    print(f"{total} freed")


def spoken_size(size: int) -> str:
    """Bytes with a unit."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size = size / 1000  # type: ignore[assignment]
    return f"{size:.1f} GB"


def _score(metric: str, score: float | None) -> str:
    return "" if score is None else f"{metric} {score:.3f}"


def _short(text: str) -> str:
    return Path(text).name or text


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _said(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _defaults(kind: str) -> dict[str, Any]:
    """Every setting that a run or comparison has unless told otherwise."""
    import dataclasses

    from luthier.comparison.plan import Request
    from luthier.io.config import Recipe, plain
    from luthier.reports.run_list import flat

    values: dict[str, Any] = flat(plain(Recipe())) if kind == "run" else flat(dataclasses.asdict(Request()))
    return values
