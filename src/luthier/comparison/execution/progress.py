"""What a running comparison tells: bars with the time left, tokens a second and loss; a line a finished method.

The parent shows what its workers send: JSON objects, one a line, made by `Wire` and read by `Show.heard`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from luthier.comparison.plan import Request
from luthier.comparison.results import read_outcome, read_runs
from luthier.comparison.trial_list import Trial, name_of, trials_of
from luthier.core.progress import Report

EVERY = 20.0  # seconds between lines where there is no terminal
OFTEN = 0.1  # seconds between two messages about the same work

LONG = 600.0  # seconds beyond which a comparison is not begun without a word

Send = Callable[[Mapping[str, Any]], None]
Ask = Callable[[float], bool]  # whether to go on with what takes so many seconds


def writer(file: IO[str]) -> Send:
    """Sends messages as lines of this file."""

    def send(message: Mapping[str, Any]) -> None:
        try:
            file.write(json.dumps(message) + "\n")
            file.flush()
        except OSError:  # the parent is gone: no fault of the trial that would be told of
            os._exit(3)

    return send


class Wire:
    """A worker's end: what it does, as messages."""

    def __init__(self, send: Send) -> None:
        self.send, self.title, self.sent = send, "", 0.0

    def tell(self, title: str, report: Report | None) -> None:
        """A step of training, or the name of what begins."""
        if title != self.title or report is None:
            self.title, self.sent = title, 0.0
            self.send({"title": title, "share": 0.0, "words": ""})
        if report:
            self._now(report.progress, report.words)

    def rows(self, done: int, total: int) -> None:
        """Rows scored or written so far."""
        self._now(done / max(total, 1), f"{done} of {total} rows")

    def _now(self, share: float, words: str) -> None:
        if time.monotonic() - self.sent > OFTEN:
            self.sent = time.monotonic()
            self.send({"title": self.title, "share": share, "words": words})


class Show:
    """Progress on a terminal, or plain lines in a log."""

    def __init__(self, request: Request, model: str, folder: Path, ask: Ask | None = None) -> None:
        self.request, self.folder, self.ask, self.declined = request, folder, ask, False
        self.trials = {trial.place: trial for trial in trials_of(request, model)}
        self.console = Console()
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(), TextColumn("{task.fields[more]}"), console=self.console, transient=True,
            disable=not self.console.is_terminal,
        )  # fmt: skip
        self.overall = self.progress.add_task("methods", total=len(self.trials), more="")
        self.bars: dict[int, TaskID] = {}
        self.titles: dict[int, str] = {}
        self.words: set[str] = set()
        self.said = time.monotonic()

    def __enter__(self) -> Show:
        self.progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.__exit__(kind, error, trace)

    def heard(self, worker: int, message: Mapping[str, Any]) -> None:
        """A message of the worker of this number."""
        if "say" in message and message["say"] not in self.words:  # a worker that follows another says it again
            self.words.add(message["say"])
            self._print(message["say"])
        if self.ask and (message.get("estimate") or 0.0) > LONG:
            self._consent(message["estimate"])
        if "finished" in message:
            self.finished(self.trials[message["finished"]])
        if "title" in message:
            self._at_work(worker, message["title"], message["share"], message["words"])

    def _consent(self, seconds: float) -> None:
        """Ask once, with the bars out of the way; the first trial has begun meanwhile, and what it did is kept."""
        assert self.ask
        self.progress.stop()
        self.declined, self.ask = not self.ask(seconds), None
        if not self.declined:
            self.progress.start()

    def gone(self, worker: int) -> None:
        """A worker has ended."""
        if worker in self.bars:
            self.progress.remove_task(self.bars.pop(worker))
            del self.titles[worker]

    def _at_work(self, worker: int, title: str, share: float, words: str) -> None:
        if worker not in self.bars:
            self.bars[worker] = self.progress.add_task("", total=1.0, more="")
        bar = self.bars[worker]
        if title != self.titles.get(worker):
            self.titles[worker] = title
            self.progress.reset(bar, description=title, total=1.0, more="")
        self.progress.update(bar, completed=share, more=words)
        if words and not self.console.is_terminal and time.monotonic() - self.said > EVERY:
            self.said = time.monotonic()
            self._print(f"{title}: {share:.0%}, {words}")

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False)

    def finished(self, trial: Trial) -> None:
        """A line with what came out."""
        name = name_of(self.request, trial) + (f", {trial.rows} rows" if trial.rows else "")
        outcome = read_outcome(self.folder, trial.place)
        if outcome["status"] == "ok":
            runs = read_runs(self.folder, trial.place, outcome["seeds"])
            score = sum(r["score"] for r in runs) / len(runs)
            text = f"{name}: {runs[0]['metric']} {score:.3f}, {sum(r['train_seconds'] for r in runs):.0f} s"
        else:
            text = f"{name}: {outcome['status']}: {outcome['reason']}"
        repeats = trial.rows and outcome["status"] == "skipped"
        if outcome["status"] != "unneeded" and not repeats:  # a trial that only repeats another is no news
            self._print(text)
        self.progress.advance(self.overall)
