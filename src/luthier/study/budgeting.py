"""How much each run of a study trains: an equal share of the budget, and enough to say anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from luthier.comparison.budget import parse_budget
from luthier.comparison.execution.workers import measure_rate
from luthier.core.cursor import Cursor
from luthier.core.errors import LuthierError
from luthier.study.bench import Bench
from luthier.study.experiment import Arm, Measured

if TYPE_CHECKING:
    from luthier.core.split import Split
    from luthier.models.base import TrainableLM
    from luthier.study.runner import Request
    from luthier.study.study import Study
    from luthier.training.loop import Loop

RATE_SECONDS = 3.0


def shared(study: Study, request: Request, lm: TrainableLM, split: Split, arms: Sequence[Arm]) -> Measured:
    """tokens: of each run, from the budget and, where that is a time, from the measured rate. Raises LuthierError."""
    budget = request.budget or study.budget
    kind, value = parse_budget(budget)
    count = len(arms) * request.seeds * len(request.models)
    hidden = replace(split, test=())
    rate = measure_rate(lm, hidden, request.batch, RATE_SECONDS) if kind == "seconds" else None
    tokens = int(value * (rate or 1) / count)
    with Bench(lm, hidden, 1, request.batch).session(arms[0], 0) as session:
        least = max(_least(session.loop, study.least, seed) for seed in range(request.seeds))
    if tokens < least:
        need = f"{math.ceil((least + 1) * count / (rate or 1))}" + ("s" if rate else "-tokens")
        raise LuthierError(
            f"--budget {budget}: shared by {count} runs it gives each {tokens} tokens, and {study.least} steps take "
            f"{least}: give at least {need}, or fewer arms with --set"
        )
    return {"tokens": tokens, "rate": rate}


def _least(loop: Loop, steps: int, seed: int) -> int:
    """Tokens of a seed's first steps."""
    chosen = islice(loop.objective.batches(loop.ctx, loop.examples, loop.training.batch, Cursor(seed)), steps)
    return sum(example.tokens for examples in chosen for example in examples)
