"""The process that holds a base model for all its trials: `python -m luthier.compare.worker DIR N`, for the Nth model.

`supervise` starts it. It ends when its parent does (its standard input closes), so that a killed comparison leaves
nothing running.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from luthier.compare.cells import Cell, cells, plan_file
from luthier.compare.plan import Plan, Request, data_key, make_plan, read_plan, read_request, save_plan, spoken_total
from luthier.errors import LuthierError
from luthier.files import write_json
from luthier.models.endpoint import is_remote
from luthier.protocols import Split
from luthier.run import Refused

if TYPE_CHECKING:
    from luthier.compare.trial import Bench


def _follow_parent() -> None:
    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(3)

    threading.Thread(target=wait, daemon=True).start()


def work(folder: Path, number: int) -> None:
    """Run every trial on this base that is not finished; one that fails gets its reason and the others go on."""
    from luthier.compare.show import Show
    from luthier.compare.trial import Bench
    from luthier.data.task import load_split
    from luthier.evals.forgetting import general_loss

    request = read_request(folder)
    model = request.models[number]
    split, notes = load_split(request.data, folder / "rejected.jsonl")
    plan, lm = _plan(folder, request.on(model), split, plan_file(folder, request, model))
    if is_remote(lm):
        lm.client.keep_count(folder / "endpoint.json")
    write_json(folder / "notes.json", notes)
    if not (folder / "split.json").exists():
        write_json(folder / "split.json", _counts(split))
    with Show(request, model, folder) as show:
        lm.progress = show.rows
        bench = Bench(lm, split, plan, folder, 0.0 if is_remote(lm) else general_loss(lm), show.tell)
        for cell in cells(request, model):
            write_json(folder / "trials" / "current.json", {"method": cell.place})
            _attempt(bench, cell)
            show.finished(cell)


def _counts(split: Split) -> dict[str, Any]:
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
        "labels": list(split.labels),
    }


def _plan(folder: Path, request: Request, split: Split, path: Path) -> tuple[Plan, Any]:
    """The plan, made now or read from the run that was interrupted, and the base it is for."""
    from luthier.config import Recipe
    from luthier.machine import pick_dtype
    from luthier.run import load_base

    plan = read_plan(path)
    dtype = plan.dtype if plan else pick_dtype()
    threads = plan.threads if plan else request.threads
    lm = load_base(Recipe(model=request.model, dtype=dtype, threads=threads, endpoint=request.endpoint))
    if plan is None:
        plan = make_plan(request, lm, split, dtype, torch.get_num_threads())
        save_plan(plan, path)
    if data_key(split) != plan.data_key:
        raise LuthierError(f"{folder}: the data is not what this comparison began with; choose another --out")
    if lm.key != plan.model_key:
        raise LuthierError(f"{folder}: the model is not what this comparison began with; choose another --out")
    print(spoken_total(plan, len(split.train)), flush=True)
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
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise LuthierError(f"{bench.folder}: the disk is full; make room and give the same command") from None
        with (bench.folder / "worker.log").open("a", encoding="utf-8") as log:
            traceback.print_exc(file=log)
        first = str(error).strip().split("\n")[0] or "no message"
        why = f"{type(error).__name__}: {first} (details in worker.log)"
        write_json(place / "outcome.json", {"status": "failed", "reason": why})


def main() -> int:
    """Exit status 0 when every method has an outcome, 2 when the comparison cannot go on."""
    folder, number = Path(sys.argv[1]), int(sys.argv[2])
    _follow_parent()
    try:
        work(folder, number)
    except LuthierError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the thread that waits for the parent must not hold the process
