"""How long a comparison will take, measured on this machine before it starts, and the budget that fits a total.

Every method that trains takes a few steps of its own, since what they cost differs (a head trains ten times as fast as
all layers), and the model answers a few rows. Answering counts: three wordings on 64 rows cost more than a short
training.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.comparison.execution.workers import measure_rate
from luthier.comparison.learning_rate_search import JUDGED
from luthier.comparison.trial_list import scaled, trials_of
from luthier.core.errors import Refused, is_our_fault
from luthier.core.methods import Objective, Patch
from luthier.core.split import Split
from luthier.evals.task import evaluate
from luthier.evals.temperature import MOST
from luthier.io import config
from luthier.io.files import read_record, write_json
from luthier.models.limit import within
from luthier.runs.loaded import reward_of
from luthier.runs.run import objective_of
from luthier.training.context import Meter

if TYPE_CHECKING:
    from luthier.comparison.plan import Plan
    from luthier.core.lm import WordedLM

STEPS, SECONDS = 3, 1.5  # of training that tell how fast a method is
ANSWERED = 8  # rows whose answering is measured
LOOKED_AT = 16  # validation rows whose length stands for all
BEGIN = 15.0  # seconds to load libraries and the model
EACH = 2.0  # seconds of a trial besides training and answering: attaching, saving, looking what was forgotten
LOSS = 2.0  # a training step of a patch takes as long as two forward passes; of all weights, as three


@dataclass(frozen=True)
class Speed:
    """rates: training tokens a second by method; none for one that does not train or could not be measured. row:
    seconds to answer one of many plain questions. row_tokens: of a training row; judged: that a method reads to judge
    a validation row, by method, and once for all its runs (references). refused: what the model cannot do."""

    rates: Mapping[str, float]
    row: float
    row_tokens: float
    refused: frozenset[str] = frozenset()
    judged: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def rate(self, method: str) -> float | None:
        """Of a method that trains: what could not be measured counts as the slowest; None where nothing is trained."""
        slowest = min(self.rates.values(), default=None)
        return None if method in self.refused else self.rates.get(method, slowest)


@dataclass(frozen=True)
class Estimate:
    """Seconds, by all workers together: fixed (what does not depend on the budget) and of each training token.

    longest: of each token of the slowest method's final run, which one worker does alone while the others have
    nothing left to do. Source: list scheduling, Graham 1966.
    """

    fixed: float
    per_token: float
    answering: float
    longest: float = 0.0

    def seconds(self, tokens: int, workers: int) -> float:
        """From the command to its end."""
        return BEGIN + (self.fixed + (self.per_token + (workers - 1) * self.longest) * tokens) / workers

    def tokens(self, seconds: float, workers: int) -> int:
        """What each final run may spend so that the whole takes so long; below 1 where nothing is left to train."""
        left = (seconds - BEGIN) * workers - self.fixed
        return int(left / (self.per_token + (workers - 1) * self.longest)) if self.per_token else 0


def measure_speed(plan: Plan, lm: WordedLM, data: Split, mark: Path | None = None) -> Speed:
    """Train and answer a little. data: without test rows.

    mark: a file that names the method at its turn. Those that took the process down with them, for lack of memory
    perhaps, are not tried a second time here: their trials will tell.
    """
    dead: list[str] = []
    if mark and mark.exists():
        found = read_record(mark, "method", "dead")
        dead = [*found["dead"], found["method"]]
    rates: dict[str, float] = {}
    judged: dict[str, tuple[float, float]] = {}
    refused: list[str] = []
    for method in plan.request.methods:
        recipe = plan.recipe(method, 0, 1, None)
        patch = config.options(recipe)
        if method in dead or not isinstance(patch, Patch):
            continue
        if mark:
            write_json(mark, {"method": method, "dead": dead})
        try:
            wanted = objective_of(recipe, patch, data, lm)
            meter = Meter()
            judge = reward_of(recipe, meter)
            rates[method] = measure_rate(
                lm, data, plan.request.batch, SECONDS, patch, wanted, STEPS, reward=judge, meter=meter
            )
            judged[method] = _judged(wanted, lm, data, plan)
        except Refused:  # costs nothing, and its trial says so
            refused.append(method)
        except Exception as error:  # its trial says so, or does better
            if is_our_fault(error):
                raise
            continue
    if mark:
        mark.unlink(missing_ok=True)
    read = max((once for once, _ in judged.values()), default=plan.row_tokens)
    return Speed(rates, _row(lm, data, plan, rates, read), plan.row_tokens, frozenset(refused), judged)


def _judged(objective: Objective, lm: Any, data: Split, plan: Plan) -> tuple[float, float]:
    """Tokens that judging a validation row reads: in each run, and once for all of them where a reference is asked."""
    work = within(lm, plan.request.max_length).asked(template=lm.wordings(data.labels)[0], labels=data.labels)
    rows = (data.validation or data.train)[:LOOKED_AT]
    each = sum(e.tokens for e in objective.encode(work, data, rows)) / max(len(rows), 1)
    return each, each if "reference" in objective.needs else 0.0


def _row(lm: WordedLM, data: Split, plan: Plan, rates: Mapping[str, float], read: float) -> float:
    if lm.mute(data.labels) or data.task not in ("classification", "generation"):
        return read / LOSS / max(rates.values()) if rates else 0.0
    work = within(lm, plan.request.max_length).worded(lm.wordings(data.labels)[0], data.labels)
    rows = (data.validation or data.train)[:ANSWERED]
    evaluate(work, data, rows[:1])  # the first one warms up
    start = time.perf_counter()
    evaluate(work, data, rows)
    return (time.perf_counter() - start) / len(rows)


def estimate(plan: Plan, data: Split, test: int, speed: Speed) -> Estimate:
    """What the trials of the plan's model take. test: number of test rows."""
    fixed = per_token = answering = 0.0
    judged = min(JUDGED, len(data.validation))
    if data.task == "classification":  # the rows that a temperature is fitted on are answered by each final run, too
        test += min(MOST, len(data.validation))
    seeds = plan.request.seeds
    for trial in trials_of(plan.request, plan.request.model):
        method: Any = config.options(plan.recipe(trial.method, 0, 1, None))
        if trial.rows and (trial.rows >= len(data.train) or not getattr(method, "learns", True)):
            continue  # the run on all rows stands for it
        if isinstance(method, Patch):
            if (rate := speed.rate(trial.method)) is None:
                continue
            short = len(method.learning_rates) + 1
            asked: float = test * seeds + (short * judged if data.task == "classification" else 0)
            each, once = speed.judged.get(trial.method, (speed.row_tokens, 0.0))
            fixed += EACH * (seeds + short / 2) + judged * (short * each + once) / LOSS / rate
            per_token += _share(trial.rows, data) * (seeds + 1) / rate
        elif data.task in method.tasks:
            times = seeds if method.seeded else 1
            asked = (method.asked(data) + test * method.answers()) * times if method.asks else 0.0
            fixed += EACH / 2 * times
        else:
            continue
        answering += asked * speed.row
    rates = [rate for name in plan.request.methods if (rate := speed.rate(name)) and plan.request.spec(name).trains]
    return Estimate(fixed + answering, per_token, answering, 1 / min(rates) if rates else 0.0)


def _share(rows: int | None, data: Split) -> float:
    """Of the budget that a point of the curve has."""
    return scaled(1_000_000, rows, len(data.train)) / 1_000_000 if rows and rows < len(data.train) else 1.0
