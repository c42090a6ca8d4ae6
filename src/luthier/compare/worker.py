"""The process that holds the base model for all trials: `python -m luthier.compare.worker DIR`, started by `supervise`.

It ends when its parent does (its standard input closes), so that a killed comparison leaves nothing running.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from luthier.compare.plan import Plan, Request, data_key, make_plan, read_plan, request_from, save_plan, spoken_total
from luthier.compare.rows import record_rows
from luthier.errors import LuthierError
from luthier.files import read_json, write_json
from luthier.protocols import Split
from luthier.run import Refused

if TYPE_CHECKING:
    from luthier.compare.trial import Bench
    from luthier.models.causal import CausalLM


def _follow_parent() -> None:
    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(3)

    threading.Thread(target=wait, daemon=True).start()


def work(folder: Path) -> None:
    """Run every method that is not finished; a method that fails gets its reason and the others go on."""
    from luthier.compare.show import Show
    from luthier.compare.trial import Bench
    from luthier.data.task import load_split
    from luthier.evals.forgetting import general_loss

    request = request_from(read_json(folder / "request.json"))
    split, notes = load_split(request.data, folder / "rejected.jsonl")
    plan, lm = _plan(folder, request, split)
    write_json(folder / "notes.json", notes)
    if not (folder / "split.json").exists():
        write_json(folder / "split.json", _counts(split))
    record_rows(folder, split)
    with Show(plan, folder) as show:
        lm.progress = show.rows
        bench = Bench(lm, split, plan, folder, general_loss(lm), show.tell)
        for method in request.methods:
            write_json(folder / "trials" / "current.json", {"method": method})
            _attempt(bench, method)
            show.finished(method)


def _counts(split: Split) -> dict[str, Any]:
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
        "labels": list(split.labels),
    }


def _plan(folder: Path, request: Request, split: Split) -> tuple[Plan, CausalLM]:
    """The plan, made now or read from the run that was interrupted, and the base it is for."""
    from luthier.config import Recipe
    from luthier.machine import pick_dtype
    from luthier.run import load_base

    plan = read_plan(folder)
    dtype = plan.dtype if plan else pick_dtype()
    lm = load_base(Recipe(model=request.model, dtype=dtype, threads=plan.threads if plan else request.threads))
    if plan is None:
        plan = make_plan(request, lm, split, dtype, torch.get_num_threads())
        save_plan(plan, folder)
    if data_key(split) != plan.data_key:
        raise LuthierError(f"{folder}: the data is not what this comparison began with; choose another --out")
    if lm.key != plan.model_key:
        raise LuthierError(f"{folder}: the model is not what this comparison began with; choose another --out")
    print(spoken_total(plan), flush=True)
    return plan, lm


def _attempt(bench: Bench, method: str) -> None:
    place = bench.folder / "trials" / method
    try:
        bench.run_method(method)
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
    folder = Path(sys.argv[1])
    _follow_parent()
    try:
        work(folder)
    except LuthierError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the thread that waits for the parent must not hold the process
