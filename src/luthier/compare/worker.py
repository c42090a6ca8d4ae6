"""A process that holds a base model for trials: `python -m luthier.compare.worker DIR N K`, the Kth on the Nth model.

`supervise` starts it. The first makes the plan, which says how many there are to be. What it tells goes to its standard
output as messages (`compare.show`). It ends when its parent does (its standard input closes), so that a killed
comparison leaves nothing running.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.compare.cells import Cell, cells, plan_folder
from luthier.compare.claims import claimed
from luthier.compare.plan import STOPPED, Plan, data_key, make_plan, read_plan, read_request, save_plan, spoken_total
from luthier.compare.results import finished
from luthier.compare.rows import record_rows
from luthier.compare.show import Send, Wire, writer
from luthier.compare.team import current_file
from luthier.errors import LuthierError
from luthier.evals.metric import for_task
from luthier.files import write_json, write_text
from luthier.machine import cores
from luthier.models.endpoint import is_remote
from luthier.protocols import Split
from luthier.run import Refused

if TYPE_CHECKING:
    from luthier.compare.plan import Request
    from luthier.compare.trial import Bench

LOOK = 0.5  # seconds between looks for something to help with


def _follow_parent() -> None:
    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(3)

    threading.Thread(target=wait, daemon=True).start()


def work(folder: Path, number: int, place: int, send: Send) -> None:
    """Run the trials on this base that are not finished; one that fails gets its reason and the others go on.

    place: 0 for the first worker on the base, 1 for the second...
    """
    from luthier.compare.trial import Bench
    from luthier.data.task import load_split

    request = read_request(folder)
    model, first = request.models[number], place == 0
    split, notes = load_split(request.data, folder / "rejected.jsonl" if first else None)
    plan, lm = _plan(folder, request.on(model), split, plan_folder(folder, request, model))
    if is_remote(lm):
        lm.client.keep_count(folder / "endpoint.json")
    if first:
        _keep(folder, split, notes)
        left = sum(not finished(folder, c.place) for c in cells(request, model)) * request.seeds
        workers = min(plan.workers, left, max(1, cores() // plan.threads))
        send({"workers": workers, "say": spoken_total(plan, len(split.train))})
    wire = Wire(send)
    lm.progress = wire.rows
    bench = Bench(lm, split, plan, folder, wire.tell)
    _trials(bench, cells(request, model), current_file(folder, place), send)


def _keep(folder: Path, split: Split, notes: list[str]) -> None:
    """What belongs to the whole comparison."""
    write_json(folder / "notes.json", notes)
    if not (folder / "split.json").exists():
        write_json(folder / "split.json", _counts(split))
    record_rows(folder, split)


def _trials(bench: Bench, wanted: Sequence[Cell], current: Path, send: Send) -> None:
    """Take trials that no other worker has; when all are taken, help with those that are not finished."""
    hopeless: set[Cell] = set()
    while left := [cell for cell in wanted if not finished(bench.folder, cell.place)]:
        took = False
        for cell in left:
            with claimed(cell.folder(bench.folder)) as mine:
                if mine and not finished(bench.folder, cell.place):
                    took = True
                    write_json(current, {"method": cell.place})
                    _attempt(bench, cell)
                    send({"finished": cell.place})
        if took:
            continue
        for cell in [c for c in left if c not in hopeless]:
            try:
                bench.share(cell, wait=False, stop=partial(finished, bench.folder, cell.place))
            except Exception as error:  # the worker whose trial it is meets and tells it
                if _of_the_disk(error):
                    raise
                hopeless.add(cell)
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
    }


def _plan(folder: Path, request: Request, split: Split, place: Path) -> tuple[Plan, Any]:
    """The plan, made now or read from the run that was interrupted, and the base it is for."""
    from luthier.config import Recipe
    from luthier.evals.forgetting import general_loss
    from luthier.machine import pick_dtype
    from luthier.run import load_base

    plan = read_plan(place)
    dtype = plan.dtype if plan else pick_dtype()
    threads = plan.threads if plan else request.threads
    lm = load_base(Recipe(model=request.model, dtype=dtype, threads=threads, endpoint=request.endpoint))
    if plan and plan.base_loss is None and not is_remote(lm):  # begun by an earlier version
        plan = replace(plan, base_loss=general_loss(lm))
    if plan is None:
        plan = make_plan(request, lm, split, dtype)
        save_plan(plan, place)
    if data_key(split) != plan.data_key:
        raise LuthierError(f"{folder}: the data is not what this comparison began with; choose another --out")
    if lm.key != plan.model_key:
        raise LuthierError(f"{folder}: the model is not what this comparison began with; choose another --out")
    return replace(plan, request=request), lm


def _attempt(bench: Bench, cell: Cell) -> None:
    place = cell.folder(bench.folder)
    try:
        bench.run(cell)
    except Refused as reason:
        write_json(place / "outcome.json", {"status": "skipped", "reason": str(reason)})
    except LuthierError as error:
        write_json(place / "outcome.json", {"status": "failed", "reason": str(error)})
    except Exception as error:  # a method must not take the others with it
        if _of_the_disk(error):
            raise
        write_json(place / "outcome.json", {"status": "failed", "reason": _logged(bench.folder, error)})


def _of_the_disk(error: Exception) -> bool:
    """Whether the results could not be written: no fault of the method's. safetensors says it in words only."""
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    return getattr(error, "errno", None) in numbers or any(f"(os error {n})" in str(error) for n in numbers)


def _logged(folder: Path, error: Exception) -> str:
    """An unforeseen error in one line; the rest goes to worker.log."""
    with (folder / "worker.log").open("a", encoding="utf-8") as log:
        traceback.print_exception(error, file=log)
    first = str(error).strip().split("\n")[0] or "no message"
    return f"{type(error).__name__}: {first} (details in worker.log)"


def _last_words(folder: Path, error: Exception) -> str:
    if isinstance(error, LuthierError):
        return str(error)
    if _of_the_disk(error):
        return f"{folder}: the disk is full or read-only; make room and give the same command again"
    if isinstance(error, OSError):
        return f"{error.filename or folder}: {error.strerror or error}"
    return f"{folder}: the comparison stopped by an error in Luthier: {_logged(folder, error)}"


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
    import luthier.compare.trial  # noqa: F401  takes seconds to load: done while the first worker makes the plan

    if not sys.stdin.readline():  # the parent's word to begin
        return 0
    _follow_parent()
    try:
        work(folder, number, place, send)
    except Exception as error:
        if place and not _of_the_disk(error):  # one that only helps: the others go on without it
            _logged(folder, error)
            return 1
        words = _last_words(folder, error)
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
