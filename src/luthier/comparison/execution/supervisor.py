"""The parent of a comparison: keeps workers alive, starts them anew when a trial kills them, gathers the result."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from luthier.comparison.execution.locks import forget_claims
from luthier.comparison.execution.pool import WorkerPool, current_file
from luthier.comparison.execution.progress import Ask, Show
from luthier.comparison.plan import STOPPED, Request, begin, check_folder
from luthier.comparison.results import (
    ERRORS,
    MEASURING,
    SPENT,
    finished,
    forget_failures,
    lacks_latency,
    of_model,
    read_outcome,
    write_left_out,
)
from luthier.comparison.same_inputs import check_same
from luthier.comparison.trial_list import begun, plan_folder, trials_of
from luthier.core.errors import LuthierError
from luthier.core.phrases import of_error, say
from luthier.data.used import said
from luthier.io.files import LOCK, alone, forget, read_record, write_json
from luthier.models.endpoint import remote
from luthier.models.loading import load
from luthier.models.machine import cores
from luthier.runs.inputs import set_aside, split_or_none

WORKER_LOG = "worker.log"
TRACED = ("request.json", WORKER_LOG, "trials")  # where tracebacks are, and what says whose they are
BEFORE = (  # what a comparison leaves that never came to a plan
    "request.json", "rejected.jsonl", "rejected-test.jsonl", WORKER_LOG, "notes.json", "split.json", "floor.json",
    "test_rows.jsonl", "languages.json", "trials", SPENT, MEASURING, LOCK,
)  # fmt: skip
DECLINED = "not begun: --total 10m shares less time out, fewer --methods or --limit-test cost less, --yes does not ask"
ATTEMPTS = 2  # a trial may take the worker down this often before it is given up


class Declined(LuthierError):  # noqa: N818
    """Somebody was asked whether to begin, and said no."""


class Lost(LuthierError):  # noqa: N818
    """A base on which no trial could begin; the message is the reason."""


def run(request: Request, folder: Path, again: bool = False, ask: Ask | None = None) -> None:
    """Run every trial of the request that is not finished in this folder, and those that failed once more.

    What fails is an outcome like others. again: what stands there is set aside first. ask: whether to go on with what
    takes so many seconds, before the first trial of a comparison; None never asks. Raises LuthierError when the
    whole cannot go on: the data, the only model; and where data or models are not those that the results are of.
    """
    if again and begun(folder):
        set_aside(folder, "request.json")
    check_folder(request, folder)
    waiting = bool(unfinished(request, folder))
    if waiting and (request.judge or request.reward):
        from luthier.runs.judges import check_named

        check_named(request.judge, request.reward)
    # most mistakes are in the data: say so before anything is loaded or written
    split, notes = split_or_none(folder, request.data, finished=not waiting)
    for line in [*([said(split.used)[0]] if split and split.used else []), *notes] if waiting else []:
        print(line)
    check_same(request, folder, split)
    with alone(folder / LOCK, f"{folder}: another comparison is running there"):
        begin(request, folder)
        for place, reason in forget_failures(folder, [trial.place for trial in trials_of(request)]).items():
            print(f"{place} failed before ({reason}) and is tried again")
        try:
            with _timed(request, folder):
                _run(request, folder, None if begun(folder) or ask is None else _once(ask))
        except LuthierError as error:
            if isinstance(error, Declined):  # nothing had begun before it was asked
                for plan in (folder / "plan.json", *folder.glob("trials/*/plan.json")):
                    plan.unlink(missing_ok=True)
            if not begun(folder):
                _withdraw(folder)
            raise


def _once(ask: Ask) -> Ask:
    """Asks the first time; who has said yes is not asked for the next model."""
    asked: list[bool] = []

    def again(seconds: float) -> bool:
        if not asked:
            asked.append(ask(seconds))
        return asked[0]

    return again


@contextmanager
def _timed(request: Request, folder: Path) -> Iterator[None]:
    """Add what a start takes to the file of seconds. `whole`: no start was killed, whose time nobody knows."""
    if not any(unfinished(request, folder, m) or _untimed(request, folder, m) for m in request.models):
        yield
        return
    path, start = folder / SPENT, time.monotonic()
    kept = read_record(path, "seconds") if path.exists() else {"seconds": 0.0, "whole": not begun(folder)}
    whole = bool(kept.get("whole", True)) and not kept.get("open")
    write_json(path, {"seconds": kept["seconds"], "whole": whole, "open": True})
    try:
        yield
    finally:
        seconds = kept["seconds"] + time.monotonic() - start
        write_json(path, {"seconds": seconds, "whole": whole, "open": False})


def _withdraw(folder: Path) -> None:
    """Remove what a comparison left that never came to a plan, but for the tracebacks that its error names."""
    traced = (folder / WORKER_LOG).exists() or any(folder.glob(f"trials/*/{ERRORS}"))
    forget(folder, *(name for name in BEFORE if not traced or name not in TRACED))


def unfinished(request: Request, folder: Path, model: str | None = None) -> list[str]:
    """Trials (of one base, if given) without an outcome, by their place below trials/.

    All of them where what is said about the whole is not there.
    """
    whole = all((folder / name).exists() for name in ("split.json", "notes.json"))
    return [c.place for c in trials_of(request, model) if not (whole and finished(folder, c.place))]


def _run(request: Request, folder: Path, ask: Ask | None) -> None:
    """The bases in turn: a worker holds one model. One of several that cannot be used is no end."""
    open_ = (model for model in request.models if unfinished(request, folder, model))
    waiting = list(dict.fromkeys([*open_, *(m for m in request.models if _untimed(request, folder, m))]))
    reasons: dict[str, LuthierError] = {}
    for model in list(waiting):
        try:
            check_model(model, request)  # a wrong name is said before the first model's hours
        except LuthierError as error:
            print(f"left out: {of_model(model, of_error(error))}")
            if unfinished(request, folder, model):
                reasons[model] = error
            else:  # its scores stand, only its latency is not known
                waiting.remove(model)
    if reasons.keys() == set(request.models):
        raise next(iter(reasons.values()))
    for model in (m for m in waiting if m not in reasons):
        try:
            _run_model(request, folder, model, ask)
        except Lost as error:
            reasons[model] = error
    if len(request.models) == 1 and reasons:
        raise next(iter(reasons.values()))
    for model, reason in reasons.items():
        for place in unfinished(request, folder, model):
            write_left_out(folder / "trials" / place, "failed", reason)
    if waiting and not begun(folder):
        raise LuthierError(_nothing(request, folder))


def _nothing(request: Request, folder: Path) -> str:
    """Why no model could be used, a line each."""
    first = {model: trials_of(request, model)[0] for model in request.models}
    reasons = [of_model(model, read_outcome(folder, trial.place)["reason"]) for model, trial in first.items()]
    return "\n".join(["no model can be used", *reasons])


def check_model(model: str, request: Request) -> None:
    """Raise LuthierError for a model that cannot be there, as far as that is known without loading it."""
    if remote.is_endpoint(model):
        remote.load(model, request.endpoint)
    elif model != load.EMBEDDED and len(request.models) > 1:
        load.resolve(model)


def _run_model(request: Request, folder: Path, model: str, ask: Ask | None) -> None:
    """Workers on this base until every trial has its outcome."""
    deaths: Counter[str] = Counter()
    alone = False
    mark = plan_folder(folder, request, model) / MEASURING
    mark.unlink(missing_ok=True)  # of a start that somebody ended: it speaks of deaths under this parent alone
    with Show(request, model, folder, ask) as show:
        for trial in trials_of(request, model):
            if finished(folder, trial.place):
                show.finished(trial)
        while unfinished(request, folder, model):
            for path in (folder / "trials").glob("current-*.json"):
                path.unlink()
            second = len(unfinished(request, folder, model)) * request.seeds > 1 and _cores(request, model) > 1
            codes = WorkerPool(folder, request.models.index(model), show, alone=alone, second=second).run()
            if show.declined:
                raise Declined(DECLINED)
            if 2 in codes.values():
                raise LuthierError(_reason(folder))
            if not any(codes.values()) or not unfinished(request, folder, model):
                continue
            if len(codes) > 1:
                alone = True  # several can be too many for the memory: one goes on, and then a death tells on its trial
                continue
            if mark.exists():  # it died while a speed was measured, which is not tried twice
                continue
            given_up = _lay_to_trial(folder, codes[0], deaths)
            for trial in (c for c in trials_of(request, model) if c.place == given_up):
                show.finished(trial)
                alone = False
        if _untimed(request, folder, model):  # the worker that measures it was killed, or its turn never came
            WorkerPool(folder, request.models.index(model), show, alone=True, second=False).run()
    forget_claims(folder / "trials")


def _untimed(request: Request, folder: Path, model: str) -> bool:
    """Whether a finished trial has no latency yet. (`execution.quiet_latency` measures it, and loads torch.)"""
    return any(lacks_latency(folder, trial.place) for trial in trials_of(request, model) if trial.rows is None)


def _cores(request: Request, model: str) -> int:
    """Cores that workers on this base may share; one where nothing is computed here."""
    return 1 if remote.is_endpoint(model) else request.threads or cores()


def _lay_to_trial(folder: Path, code: int, deaths: Counter[str]) -> str:
    """Count the death of a worker that was alone to the trial it was at; after ATTEMPTS it is given up, and named."""
    current = current_file(folder, 0)
    method = str(read_record(current, "method")["method"]) if current.exists() else ""
    deaths[method] += 1
    if deaths[method] < ATTEMPTS:
        return ""
    if not method:
        raise Lost(say("said_refused_worker", code=code))
    how = say("said_signal", number=-code) if code < 0 else say("said_status", number=code)
    reason = say("said_refused_memory" if code == -9 else "said_refused_process", how=how, times=ATTEMPTS)
    write_left_out(folder / "trials" / method, "failed", reason)
    return method


def _reason(folder: Path) -> str:
    """Why the worker stopped, from the file it left."""
    path = folder / STOPPED
    if not path.exists():
        return "the comparison stopped; the reason stands above"
    reason = path.read_text(encoding="utf-8")
    path.unlink()
    return reason
