"""What a running comparison tells: a bar with the time left, tokens a second and loss; a line a finished method."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from luthier.compare.cells import Cell, cells, name_of
from luthier.compare.plan import Request
from luthier.compare.results import read_outcome, read_runs
from luthier.progress import Report

EVERY = 20.0  # seconds between lines where there is no terminal


class Show:
    """Progress on a terminal, or plain lines in a log."""

    def __init__(self, request: Request, model: str, folder: Path) -> None:
        self.request, self.folder = request, folder
        self.console = Console()
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(), TextColumn("{task.fields[more]}"), console=self.console, transient=True,
            disable=not self.console.is_terminal,
        )  # fmt: skip
        self.overall = self.progress.add_task("methods", total=len(cells(request, model)), more="")
        self.current = self.progress.add_task("", total=1.0, more="")
        self.title, self.said = "", time.monotonic()

    def __enter__(self) -> Show:
        self.progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.__exit__(kind, error, trace)

    def _titled(self, title: str) -> None:
        if title != self.title:
            self.title = title
            self.progress.reset(self.current, description=title, total=1.0, more="")

    def tell(self, title: str, report: Report | None) -> None:
        """A step of training, or the name of what begins."""
        self._titled(title)
        if report is None:
            return
        self.progress.update(self.current, completed=report.progress, more=report.words)
        self._line(f"{title}: {report.progress:.0%}, {report.words}")

    def rows(self, done: int, total: int) -> None:
        """Rows scored or written so far."""
        self.progress.update(self.current, completed=done / max(total, 1), more=f"{done} of {total} rows")
        self._line(f"{self.title}: {done} of {total} rows")

    def _line(self, text: str) -> None:
        if not self.console.is_terminal and time.monotonic() - self.said > EVERY:
            self.said = time.monotonic()
            self.console.print(text, markup=False, highlight=False)

    def finished(self, cell: Cell) -> None:
        """A line with what came out."""
        name = name_of(self.request, cell) + (f", {cell.rows} rows" if cell.rows else "")
        outcome = read_outcome(self.folder, cell.place)
        if outcome["status"] == "ok":
            runs = read_runs(self.folder, cell.place, outcome["seeds"])
            score = sum(r["score"] for r in runs) / len(runs)
            text = f"{name}: {runs[0]['metric']} {score:.3f}, {sum(r['train_seconds'] for r in runs):.0f} s"
        else:
            text = f"{name}: {outcome['status']}: {outcome['reason']}"
        if not (cell.rows and outcome["status"] == "skipped"):  # a point that only repeats another is no news
            self.console.print(text, markup=False, highlight=False)
        self.progress.advance(self.overall)
