"""Latency: how long one question alone takes, measured for all methods in one stretch when everything else has ended.

    trials/METHOD/seed-0/latency.json   {"latency_ms": 12.3, "waiting": 0.01}

While other workers train, the same question takes twice as long, and which methods are hit is chance. The worker that
measures waits for the others to end; how long it was kept from a core is noted beside the figure.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.comparison.execution.locks import locked
from luthier.comparison.results import LATENCY, lacks_latency, log_error
from luthier.comparison.trial_list import Trial
from luthier.core.lm import LM
from luthier.core.methods import Patch
from luthier.evals.latency import latency
from luthier.io.files import write_json
from luthier.models.endpoint.remote import is_remote
from luthier.models.machine import cores, threads
from luthier.runs.loaded import load_method
from luthier.training.attach import remove_heads

if TYPE_CHECKING:
    from luthier.comparison.trial import Bench
    from luthier.core.lm import WordedLM

PATIENCE = 60.0  # seconds to wait for other workers to end
PAUSE = 0.1


def at_work(root: Path, place: int) -> Path:
    """What a worker holds as long as it works."""
    return root / "trials" / f"worker-{place}"


def measure(bench: Bench, wanted: Sequence[Trial], workers: int) -> None:
    """Measure what is missing, with all cores to this process."""
    left = [trial for trial in wanted if trial.rows is None and lacks_latency(bench.folder, trial.place)]
    if not left:
        return
    with ExitStack() as held:
        for place in range(1, workers):
            _wait_for(at_work(bench.folder, place), held)
        before, bench.lm.progress = bench.lm.progress, None
        used = threads(bench.plan.request.threads or cores()) if not is_remote(bench.lm) else 0
        try:
            for trial in left:
                bench.tell(f"{trial.method}: latency", None)
                write_json(trial.folder(bench.folder) / "seed-0" / LATENCY, _measured(bench, trial))
        finally:
            bench.lm.progress = before
            if used:
                threads(bench.plan.threads)


def _wait_for(piece: Path, held: ExitStack) -> None:
    """Until the worker that holds it has ended, or for a while: it may have stuck."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if held.enter_context(locked(piece)):
            return
        time.sleep(PAUSE)


def _measured(bench: Bench, trial: Trial) -> dict[str, Any]:
    try:
        with opened(trial.folder(bench.folder) / "seed-0", bench.lm) as lm:
            return latency(lm, bench.data)
    except Exception as error:  # the scores stand: a figure that cannot be had is none
        reason = log_error(trial.folder(bench.folder) / "latency.log", bench.folder, error)
        return {"latency_ms": None, "waiting": 0.0, "reason": reason}


@contextmanager
def opened(run: Path, lm: WordedLM) -> Iterator[LM]:
    """The adapted model of a run folder on this base, which is what it was afterwards."""
    found, method = load_method(run, lm)
    try:
        yield found
    finally:
        if isinstance(method, Patch):
            work: Any = found
            method.detach(work)
            remove_heads(work)
            work.model.requires_grad_(False)
