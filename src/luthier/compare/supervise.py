"""The parent of a comparison: keeps one worker alive, starts it anew when a trial kills it, gathers the result."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from filelock import FileLock, Timeout

from luthier.compare.plan import Request, begin
from luthier.errors import LuthierError
from luthier.files import read_json, write_json

ATTEMPTS = 2  # a trial may take the worker down this often before it is given up


def run(request: Request, folder: Path) -> None:
    """Run every trial of the request that is not finished in this folder. Raises LuthierError when it cannot go on."""
    begin(request, folder)
    lock = FileLock(folder / ".lock")
    try:
        with lock.acquire(timeout=0):
            _run(request, folder)
    except Timeout:
        raise LuthierError(f"{folder}: another comparison is running there") from None


def unfinished(request: Request, folder: Path) -> list[str]:
    """Methods without an outcome."""
    return [m for m in request.methods if not (folder / "trials" / m / "outcome.json").exists()]


def _run(request: Request, folder: Path) -> None:
    deaths: Counter[str] = Counter()
    while unfinished(request, folder):
        code = _worker(folder)
        if code == 2:
            raise LuthierError("the comparison stopped; the reason stands above")
        if code == 0 or not unfinished(request, folder):
            continue
        method = _current(folder)
        deaths[method] += 1
        if deaths[method] >= ATTEMPTS:
            if not method:
                raise LuthierError(f"the worker process ended with status {code} before its first trial")
            how = f"signal {-code}" if code < 0 else f"status {code}"
            reason = f"the process was ended by {how}, {ATTEMPTS} times"
            reason += "; signal 9 mostly means that memory ran out" if code == -9 else ""
            write_json(folder / "trials" / method / "outcome.json", {"status": "failed", "reason": reason})


def _worker(folder: Path) -> int:
    """Run a worker to its end; its standard input stays open as long as this process lives."""
    command = [sys.executable, "-m", "luthier.compare.worker", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise


def _current(folder: Path) -> str:
    path = folder / "trials" / "current.json"
    return str(read_json(path)["method"]) if path.exists() else ""
