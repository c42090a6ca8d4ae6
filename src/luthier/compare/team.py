"""The workers on one base, seen from the process that starts them and shows what they tell."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from luthier.compare.show import Show

WORKER = (sys.executable, "-m", "luthier.compare.worker")
STOP = 2  # a worker's exit status: the comparison cannot go on, the reason is in a file


def current_file(folder: Path, place: int) -> Path:
    """Where a worker notes its trial, so that its death can be laid to it."""
    return folder / "trials" / f"current-{place}.json"


class Team:
    """The first worker on a base, and as many beside it as the plan wants that it makes or reads; or it alone."""

    def __init__(self, folder: Path, model: int, show: Show, alone: bool) -> None:
        self.folder, self.model, self.show, self.alone = folder, model, show, alone
        self.processes: dict[int, subprocess.Popen[str]] = {}
        self.heard: SimpleQueue[tuple[int, dict[str, Any] | None]] = SimpleQueue()

    def run(self) -> dict[int, int]:
        """Exit status by worker, when all have ended. They end when this process does, however it does."""
        try:
            self._start(0)
            running = 1
            while running:
                place, message = self.heard.get()
                if message is None:
                    running -= 1
                    self.show.gone(place)
                    if self.processes[place].wait() == STOP:
                        self._stop()
                    continue
                self.show.heard(place, message)
                for other in range(1, 1 if self.alone else message.get("workers", 1)):
                    self._start(other)
                    running += 1
            return {place: process.wait() for place, process in self.processes.items()}
        finally:
            self._stop()

    def _start(self, place: int) -> None:
        """A worker; its standard input stays open as long as this process lives."""
        command = [*WORKER, str(self.folder), str(self.model), str(place)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", bufsize=1
        )
        self.processes[place] = process
        Thread(target=self._listen, args=(place, process), daemon=True).start()

    def _listen(self, place: int, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                self.heard.put((place, json.loads(line)))
            except ValueError:  # the last line of a worker that was killed while it wrote
                break
        self.heard.put((place, None))

    def _stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            process.wait()
            assert process.stdin is not None and process.stdout is not None
            process.stdin.close()
