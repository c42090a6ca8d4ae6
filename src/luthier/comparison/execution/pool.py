"""The workers on one base, seen from the process that starts them and shows what they tell."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from luthier.comparison.execution.progress import Show

WORKER = (sys.executable, "-m", "luthier.comparison.execution.worker")
STOP = 2  # a worker's exit status: the comparison cannot go on, the reason is in a file


def current_file(folder: Path, place: int) -> Path:
    """Where a worker notes its trial, so that its death can be laid to it."""
    return folder / "trials" / f"current-{place}.json"


class WorkerPool:
    """The first worker on a base, and as many beside it as the plan wants that it makes or reads; or it alone.

    second: start one with the first, so that it has loaded its libraries when the plan is made; it waits for a line on
    its standard input.
    """

    def __init__(self, folder: Path, model: int, show: Show, *, alone: bool, second: bool) -> None:
        self.folder, self.model, self.show = folder, model, show
        self.alone, self.second = alone, second and not alone
        self.begun: set[int] = set()
        self.processes: dict[int, subprocess.Popen[str]] = {}
        self.heard: SimpleQueue[tuple[int, dict[str, Any] | None]] = SimpleQueue()

    def run(self) -> dict[int, int]:
        """Exit status by worker that began, when all have ended. They end when this process does, however it does."""
        try:
            self._begin(0)
            if self.second:
                self._start(1)
            ended = 0
            while ended < len(self.processes):
                place, message = self.heard.get()
                if message is not None:
                    self._hear(place, message)
                    if self.show.declined:
                        return {}
                    continue
                ended += 1
                self.show.gone(place)
                if place == 0:
                    self._dismiss()
                if self.processes[place].wait() == STOP:
                    self._stop()
            return {place: self.processes[place].wait() for place in self.begun}
        finally:
            self._stop()

    def _hear(self, place: int, message: dict[str, Any]) -> None:
        self.show.heard(place, message)
        if "workers" in message:
            for other in range(1, 1 if self.alone else message["workers"]):
                self._begin(other)
            self._dismiss()

    def _begin(self, place: int) -> None:
        """Give a worker the word, started now or before."""
        if place not in self.processes:
            self._start(place)
        self.begun.add(place)
        stdin = self.processes[place].stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError):  # dead already: its end is heard
            stdin.write("begin\n")
            stdin.flush()

    def _dismiss(self) -> None:
        """Let those go that wait for their word."""
        for place in self.processes.keys() - self.begun:
            _close(self.processes[place])

    def _start(self, place: int) -> None:
        """A worker; its standard input stays open as long as this process lives."""
        command = [*WORKER, str(self.folder), str(self.model), str(place)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            bufsize=1,
        )
        self.processes[place] = process
        Thread(target=self._listen, args=(place, process), daemon=True).start()

    def _listen(self, place: int, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                with contextlib.suppress(ValueError):  # cut by a kill, or a library's own words
                    self.heard.put((place, json.loads(line)))
        finally:
            self.heard.put((place, None))

    def _stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            process.wait()
            _close(process)


def _close(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it died with a word unread
        process.stdin.close()
