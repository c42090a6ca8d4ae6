"""A process that holds a base model for trials, the Kth on the Nth model of a comparison:

    python -m luthier.comparison.execution.worker DIR N K

`supervise` starts it. The first makes the plan, which says how many there are to be. What it tells goes to its standard
output as messages (`execution.progress`). It ends when its parent does (its standard input closes), so that a killed
comparison leaves nothing running.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.comparison import results, shared_passages
from luthier.comparison.execution.faults import caught, failure, last_words, of_the_disk
from luthier.comparison.execution.locks import locked
from luthier.comparison.execution.pool import current_file
from luthier.comparison.execution.progress import Send, Wire, writer
from luthier.comparison.plan import STOPPED, Plan, read_plan, read_request, save_plan
from luthier.comparison.planning import largest, make_plan, spoken_total
from luthier.comparison.results import ERRORS, MEASURING, finished, log_error, of_model, read_outcome, write_left_out
from luthier.comparison.rows import record_rows
from luthier.comparison.same_inputs import differences, judging
from luthier.comparison.trial_list import Trial, plan_folder, trials_of
from luthier.comparison.verdicts import FLOOR
from luthier.core import catalog, command
from luthier.core.errors import LuthierError, Refused, Unfit
from luthier.core.metric import for_task
from luthier.core.phrases import say
from luthier.core.split import Split
from luthier.evals.constant import constant
from luthier.evals.task import evaluate
from luthier.io.files import write_json, write_text
from luthier.models.endpoint.remote import is_remote
from luthier.models.machine import cores
from luthier.runs.inputs import model_parts, refuse_changed

if TYPE_CHECKING:
    from luthier.comparison.plan import Request
    from luthier.comparison.trial import Bench
    from luthier.core.lm import WordedLM

LOOK = 0.5  # seconds between looks for something to help with


def _follow_parent() -> None:
    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(3)

    threading.Thread(target=wait, daemon=True).start()


def work(folder: Path, number: int, place: int, send: Send) -> None:
    """Run the trials on this base that are not finished; one that fails gets its reason and the others go on.

    place: 0 for the first worker on the base, 1 for the second... A base among several that cannot be used gives all
    its trials that outcome. After an error that nobody foresaw this one ends before its trials do: the base may not be
    what it was, and its parent starts another.
    """
    from luthier.comparison.execution import quiet_latency
    from luthier.comparison.trial import Bench
    from luthier.data.load import load_split

    request = read_request(folder)
    model, first = request.models[number], place == 0
    split, notes = load_split(request.data, folder / "rejected.jsonl" if first else None)
    kept = plan_folder(folder, request, model)
    try:
        plan, lm = _plan(request.on(model), split, kept, 1 / request.here)
    except Exception as error:
        if not first or len(request.models) == 1 or of_the_disk(error):
            raise
        _keep(folder, split, notes, send)
        send({"say": f"left out: {of_model(model, _lost(folder, trials_of(request, model), error, kept / ERRORS))}"})
        return
    _check(folder, plan, lm, split)
    if is_remote(lm):
        lm.client.keep_count(folder / "endpoint.json")
    workers = 1
    if first:
        _keep(folder, split, notes, send)
        left = sum(not finished(folder, c.place) for c in trials_of(request, model)) * request.seeds
        workers = max(1, min(plan.workers, left, cores() // plan.threads))
        said = spoken_total(plan, len(split.train)) + largest(plan, lm, split)
        send({"workers": workers, "say": said, "estimate": (plan.estimate or 0) * request.here})
        if (most := request.max_length or 0) > lm.context:
            send({"say": f"--max-length {most:,}: the model reads {lm.context:,} tokens"})
    wire = Wire(send)
    lm.progress = wire.rows
    bench = Bench(lm, split, plan, folder, wire.tell)
    with locked(quiet_latency.at_work(folder, place)):
        _trials(bench, request, current_file(folder, place), send)
    if first and all(finished(folder, c.place) for c in trials_of(request, model)):
        quiet_latency.measure(bench, trials_of(request, model), workers)


def _lost(folder: Path, lost: Sequence[Trial], error: Exception, log: Path) -> str:
    """Give the trials on a base that cannot be used their outcome, and its reason."""
    reason = log_error(log, folder, error)
    for trial in lost:
        if not finished(folder, trial.place):
            write_left_out(trial.folder(folder), "skipped" if isinstance(error, Refused) else "failed", reason)
    return reason


def _keep(folder: Path, split: Split, notes: list[str], send: Send) -> None:
    """What belongs to the whole comparison."""
    found = shared_passages.said(split)
    results.write_notes(folder, [*notes, *found])
    for note in found:
        send({"say": str(note)})
    if not (folder / "split.json").exists():
        write_json(folder / "split.json", _counts(split))
    if not (folder / FLOOR).exists() and (nothing := constant(split)):
        scores = evaluate(nothing, split, split.test)
        write_json(folder / FLOOR, {"answer": nothing.answer, "per_row": scores.per_row, "codes": scores.codes})
    record_rows(folder, split)


def _trials(bench: Bench, request: Request, current: Path, send: Send) -> None:
    """Take trials that no other worker has; when all are taken, help with those that are not finished."""
    hopeless: set[Trial] = set()
    wanted = trials_of(request, bench.plan.request.model)
    while left := [trial for trial in wanted if not finished(bench.folder, trial.place)]:
        took = False
        for trial in left:
            with locked(trial.folder(bench.folder)) as mine:
                if mine and not finished(bench.folder, trial.place):
                    took = True
                    write_json(current, {"method": trial.place})
                    foreseen = _attempt(bench, trial, request)
                    send({"finished": trial.place})
                    if not foreseen:
                        return
        if took:
            continue
        for trial in [c for c in left if c not in hopeless]:
            try:
                bench.share(trial, wait=False, stop=partial(finished, bench.folder, trial.place))
            except LuthierError:  # the worker whose trial it is meets and tells it
                hopeless.add(trial)
            except BaseException as error:
                log_error(bench.folder / "worker.log", bench.folder, caught(error))
                return
        time.sleep(LOOK)


def _counts(split: Split) -> dict[str, Any]:
    return {
        "task": split.task,
        "metric": for_task(split.task, split.metric).name,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
        "labels": list(split.labels),
        "used": asdict(split.used) if split.used else None,
    }


def _plan(request: Request, split: Split, place: Path, share: float) -> tuple[Plan, Any]:
    """The plan, made now or read from the run that was interrupted, and the base it is for."""
    from luthier.evals.forgetting import general_loss
    from luthier.io.config import Recipe
    from luthier.models.base import TrainableLM
    from luthier.models.loading.of_recipe import load_base
    from luthier.models.machine import pick_dtype

    plan = read_plan(place)
    dtype = plan.dtype if plan else pick_dtype()
    threads = plan.threads if plan else request.threads
    lm = load_base(Recipe(model=request.model, dtype=dtype, threads=threads, endpoint=request.limits))
    if plan and plan.base_loss is None and isinstance(lm, TrainableLM):  # begun by an earlier version
        plan = replace(plan, base_loss=general_loss(lm))
    if plan is None:
        plan = make_plan(request, lm, split, dtype, place / MEASURING, share)
        plan = replace(plan, parts=model_parts(request.model), judging=judging(request))
        save_plan(plan, place)
    return replace(plan, request=replace(request, batch=plan.request.batch)), lm


def _check(folder: Path, plan: Plan, lm: WordedLM, split: Split) -> None:
    """Refuse to go on with other data or another model than the comparison began with."""
    what = differences(plan, plan.request.model, split)
    if is_remote(lm) and lm.key != plan.model_key:  # it had no name of its own, and the server has another one now
        what.append(f"model at {plan.request.model}")
    refuse_changed(folder, what)


def _attempt(bench: Bench, trial: Trial, request: Request) -> bool:
    """Give a trial its outcome; False after an error that nobody foresaw, which may have left the base changed.

    Raises OSError where not even the outcome can be written.
    """
    place = trial.folder(bench.folder)
    try:
        if same := _elsewhere(bench.folder, trial, request):
            write_left_out(place, "unneeded", say("said_refused_model", other=same))
            return True
        bench.run(trial)
    except Unfit as reason:
        write_left_out(place, "unneeded" if trial.method in request.usual else "skipped", reason)
    except Refused as reason:
        write_left_out(place, "skipped", reason)
    except BaseException as error:  # a method must not take the others with it: libraries even exit or panic
        write_left_out(place, "failed", failure(bench.folder, place, caught(error)))
        return isinstance(error, LuthierError)
    return True


def _elsewhere(folder: Path, trial: Trial, request: Request) -> str | None:
    """A finished trial on another base that says the same, where the base makes no difference to the method."""
    name = request.spec(trial.method).method
    if catalog.load(catalog.find(name, "direct", "patches")).asks:
        return None
    same = [
        c for c in trials_of(request) if (c.method, c.rows) == (trial.method, trial.rows) and c.model != trial.model
    ]
    done = [c.place for c in same if finished(folder, c.place) and read_outcome(folder, c.place)["status"] == "ok"]
    return done[0] if done else None


def _sender() -> Send:
    """Messages to the parent by standard output, which is theirs alone: what libraries print goes to standard error."""
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return writer(wire)


def main() -> int:
    """Exit status 0 when every method has an outcome, 2 when the comparison cannot go on."""
    folder, number, place = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    send = _sender()
    import luthier.comparison.trial  # noqa: F401  takes seconds to load: done while the first worker makes the plan

    if not sys.stdin.readline():  # the parent's word to begin
        return 0
    _follow_parent()
    try:
        from luthier.comparison.board import command_of

        command.keep(shlex.split(command_of(read_request(folder)))[1:])  # notes give advice that changes it
        work(folder, number, place, send)
    except Exception as error:
        if place:  # one that only helps: the others go on without it
            with contextlib.suppress(OSError):
                log_error(folder / "worker.log", folder, error)
            return 1
        words = last_words(folder, error)
        try:
            write_text(folder / STOPPED, words)
        except OSError:
            print(f"error: {words}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the thread that waits for the parent must not hold the process
