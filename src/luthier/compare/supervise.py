"""The parent of a comparison: keeps one worker alive, starts it anew when a trial kills it, gathers the result."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from filelock import FileLock, Timeout

from luthier.compare.cells import cells
from luthier.compare.plan import Request, begin
from luthier.errors import LuthierError
from luthier.files import read_json, write_json
from luthier.models import endpoint, load

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


def unfinished(request: Request, folder: Path, model: str | None = None) -> list[str]:
    """Trials (of one base, if given) without an outcome, by their place below trials/."""
    return [c.place for c in cells(request, model) if not (c.folder(folder) / "outcome.json").exists()]


def _run(request: Request, folder: Path) -> None:
    """One worker for each base in turn: each holds one model."""
    waiting = [model for model in request.models if unfinished(request, folder, model)]
    for model in waiting:
        check_model(model, request)  # a wrong name is said before the first model's hours
    for model in waiting:
        _run_model(request, folder, model)


def check_model(model: str, request: Request) -> None:
    """Raise LuthierError for a model that cannot be there, as far as that is known without loading it."""
    if endpoint.is_endpoint(model):
        endpoint.load(model, request.endpoint)
    elif model != load.EMBEDDED and len(request.models) > 1:
        load.resolve(model)


def _run_model(request: Request, folder: Path, model: str) -> None:
    deaths: Counter[str] = Counter()
    while unfinished(request, folder, model):
        code = _worker(folder, request.models.index(model))
        if code == 2:
            raise LuthierError("the comparison stopped; the reason stands above")
        if code == 0 or not unfinished(request, folder, model):
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


def _worker(folder: Path, model: int) -> int:
    """Run a worker for one of the bases to its end; its standard input stays open as long as this process lives."""
    command = [sys.executable, "-m", "luthier.compare.worker", str(folder), str(model)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise


def _current(folder: Path) -> str:
    path = folder / "trials" / "current.json"
    return str(read_json(path)["method"]) if path.exists() else ""
