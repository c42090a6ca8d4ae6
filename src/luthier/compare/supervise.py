"""The parent of a comparison: keeps workers alive, starts them anew when a trial kills them, gathers the result."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from luthier.compare.cells import begun, cells
from luthier.compare.claims import forget_claims
from luthier.compare.plan import STOPPED, Request, begin, check_folder
from luthier.compare.results import finished
from luthier.compare.show import Show
from luthier.compare.team import Team, current_file
from luthier.data.task import load_split
from luthier.errors import LuthierError
from luthier.files import LOCK, alone, forget, read_record, write_json
from luthier.machine import cores
from luthier.models import endpoint, load

ATTEMPTS = 2  # a trial may take the worker down this often before it is given up


def run(request: Request, folder: Path) -> None:
    """Run every trial of the request that is not finished in this folder. Raises LuthierError when it cannot go on."""
    check_folder(request, folder)
    if unfinished(request, folder):
        # most mistakes are in the data: say so before anything is loaded or written
        for note in load_split(request.data)[1]:
            print(note)
    with alone(folder / LOCK, f"{folder}: another comparison is running there"):
        begin(request, folder)
        try:
            _run(request, folder)
        except LuthierError:
            if not begun(folder):
                forget(folder, "request.json", "rejected.jsonl", "rejected-test.jsonl", "worker.log", LOCK)
            raise


def unfinished(request: Request, folder: Path, model: str | None = None) -> list[str]:
    """Trials (of one base, if given) without an outcome, by their place below trials/.

    All of them where what is said about the whole is not there.
    """
    whole = all((folder / name).exists() for name in ("split.json", "notes.json"))
    return [c.place for c in cells(request, model) if not (whole and finished(folder, c.place))]


def _run(request: Request, folder: Path) -> None:
    """The bases in turn: a worker holds one model."""
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
    """Workers on this base until every trial has its outcome."""
    deaths: Counter[str] = Counter()
    alone = False
    with Show(request, model, folder) as show:
        for cell in cells(request, model):
            if finished(folder, cell.place):
                show.finished(cell)
        while unfinished(request, folder, model):
            for path in (folder / "trials").glob("current-*.json"):
                path.unlink()
            second = len(unfinished(request, folder, model)) * request.seeds > 1 and _cores(request, model) > 1
            codes = Team(folder, request.models.index(model), show, alone=alone, second=second).run()
            if 2 in codes.values():
                raise LuthierError(_reason(folder))
            if not any(codes.values()) or not unfinished(request, folder, model):
                continue
            if len(codes) > 1:
                alone = True  # several can be too many for the memory: one goes on, and then a death tells on its trial
                continue
            given_up = _lay_to_trial(folder, codes[0], deaths)
            for cell in (c for c in cells(request, model) if c.place == given_up):
                show.finished(cell)
                alone = False
    forget_claims(folder / "trials")


def _cores(request: Request, model: str) -> int:
    """Cores that workers on this base may share; one where nothing is computed here."""
    return 1 if endpoint.is_endpoint(model) else request.threads or cores()


def _lay_to_trial(folder: Path, code: int, deaths: Counter[str]) -> str:
    """Count the death of a worker that was alone to the trial it was at; after ATTEMPTS it is given up, and named."""
    current = current_file(folder, 0)
    method = str(read_record(current, "method")["method"]) if current.exists() else ""
    deaths[method] += 1
    if deaths[method] < ATTEMPTS:
        return ""
    if not method:
        raise LuthierError(f"the worker process ended with status {code} before its first trial")
    how = f"signal {-code}" if code < 0 else f"status {code}"
    reason = f"the process was ended by {how}, {ATTEMPTS} times"
    reason += "; signal 9 mostly means that memory ran out" if code == -9 else ""
    write_json(folder / "trials" / method / "outcome.json", {"status": "failed", "reason": reason})
    return method


def _reason(folder: Path) -> str:
    """Why the worker stopped, from the file it left."""
    path = folder / STOPPED
    if not path.exists():
        return "the comparison stopped; the reason stands above"
    reason = path.read_text(encoding="utf-8")
    path.unlink()
    return reason
