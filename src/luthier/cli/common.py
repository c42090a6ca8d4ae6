"""What several commands share: options written as a=b, and a progress bar for training."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from luthier.core.errors import LuthierError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.progress import Progress

    from luthier.core.progress import Report


ANYWAY = "go on with answers that teach nothing: all the same, empty or marks, or a hopeless mapping"
FILL = "what stands for {{name}} in all texts, by comma: name=Ada,city=Paris"


def add_group(app: typer.Typer, name: str, about: str, **commands: tuple[str, Callable[..., None]]) -> None:
    """Register `luthier NAME COMMAND` for each command: its help, with an example, and what it runs."""
    group = typer.Typer(help=about, no_args_is_help=True, rich_markup_mode=None)
    for command, (help_, run) in commands.items():
        group.command(command, help=help_)(run)
    if len(commands) == 1:
        group.callback()(lambda: None)  # keeps the name of the only command
    app.add_typer(group, name=name)


@contextmanager
def resumable() -> Iterator[None]:
    """Ctrl-C says that nothing is lost, then ends the command."""
    try:
        yield
    except KeyboardInterrupt:
        print("\ninterrupted: the same command goes on from here", file=sys.stderr)
        raise


def pairs(text: str | None, option: str) -> dict[str, str]:
    """{"0": "text", "1": "label"} of "0=text,1=label"."""
    out: dict[str, str] = {}
    for part in (text or "").split(",") if text else []:
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise LuthierError(f"{option} {text}: write pairs such as 0=text,1=label; {part!r} is none")
        out[key.strip()] = value.strip()
    return out


def fills(text: str | None) -> dict[str, str]:
    """{"name": "Ada", "city": "Paris, France"} of "name=Ada,city=Paris, France": a comma in a value stays."""
    out: dict[str, str] = {}
    for part in re.split(r",(?=[^,=]+=)", text) if text else []:
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise LuthierError(f"--fill {text}: write what stands for which name, such as name=Ada,city=Paris")
        out[name.strip()] = value.strip()
    return out


def parts(text: str | None) -> list[str]:
    """["a", "b"] of "a, b"."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def numbers(text: str | None, option: str) -> list[int]:
    """[32, 64] of "32,64"."""
    try:
        return [int(part) for part in parts(text)]
    except ValueError:
        raise LuthierError(f"{option} {text}: write whole numbers by comma, such as 32,64,128,256") from None


def _bar(console: Console) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn(),
        TextColumn("{task.fields[more]}"), console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip


@contextmanager
def rows_bar(title: str, what: str = "rows", behind: Callable[[], str] = str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left for rows that are answered, or `what`; nothing where there is no terminal.

    behind: what else is said behind their number.
    """
    from rich.console import Console

    bar = _bar(Console(stderr=True))
    task = bar.add_task(title, total=1.0, more="")

    def rows(done: int, total: int) -> None:
        bar.update(task, completed=done / max(total, 1), more=f"{done} of {total} {what}{behind()}")

    with bar:
        yield rows


@contextmanager
def share_bar(title: str) -> Iterator[Callable[[str, float, int], None]]:
    """A bar with the time left for parts that are read one after another: which, how much of it, rows so far."""
    from rich.console import Console

    bar = _bar(Console(stderr=True))
    task = bar.add_task(title, total=1.0, more="", start=False)
    begun = ""

    def share(part: str, done: float, rows: int) -> None:
        nonlocal begun
        if part != begun:
            bar.reset(task, start=True)
            begun = part
        bar.update(task, completed=done, more=f"{part}: {rows} rows")

    with bar:
        yield share


@contextmanager
def steps_bar(title: str, count: int) -> Iterator[Callable[[str], None]]:
    """A bar with the time left for a known number of steps, each named when it begins; lines without a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    bar = _bar(console)
    task = bar.add_task(title, total=count, more="")
    begun = 0

    def step(name: str) -> None:
        nonlocal begun
        bar.update(task, completed=begun, more=name)
        begun += 1
        if not console.is_terminal:
            console.print(f"{title}: {name}", markup=False, highlight=False)

    with bar:
        yield step


@contextmanager
def training_bar(title: str) -> Iterator[Callable[[Report], None]]:
    """A bar with the time left, loss and tokens a second; plain lines now and then where there is no terminal."""
    import time

    from rich.console import Console

    console = Console(stderr=True)
    bar = _bar(console)
    task = bar.add_task(title, total=1.0, more="")
    said = time.monotonic()

    def say(report: Report) -> None:
        nonlocal said
        bar.update(task, completed=report.progress, more=report.words)
        if not console.is_terminal and time.monotonic() - said > 10:
            said = time.monotonic()
            console.print(f"{title}: {report.progress:.0%}, {report.words}", markup=False, highlight=False)

    with bar:
        yield say
