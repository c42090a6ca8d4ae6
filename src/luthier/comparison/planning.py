"""The plan is made: workers for the cores, seconds into tokens by measured rates, and what it will take.

Everything that is measured here is measured once and kept in the plan, so that a comparison that goes on is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from luthier.comparison.budget import parse_budget, parse_total
from luthier.comparison.plan import SHORT_RUNS, Plan, Request
from luthier.comparison.specs import check_distinct
from luthier.comparison.trial_list import trials_of
from luthier.core.errors import LuthierError, Refused
from luthier.core.methods import Patch
from luthier.core.split import Split
from luthier.evals import formatting
from luthier.io import config
from luthier.models.base import TrainableLM
from luthier.models.endpoint.remote import is_remote
from luthier.runs.inputs import data_key

if TYPE_CHECKING:
    from luthier.comparison.estimate import Estimate
    from luthier.core.lm import WordedLM

FEWEST = 4  # steps of a short run: with fewer there is no search, and the middle of a range is taken


def make_plan(
    request: Request, lm: WordedLM, split: Split, dtype: str, mark: Path | None = None, share: float = 1.0
) -> Plan:
    """Turn a request into a plan. mark: see `estimate.measure_speed`. share: of the total time that is this model's.

    Raises LuthierError where nothing that trains could take a step within the budget.
    """
    from luthier.comparison.estimate import estimate, measure_speed
    from luthier.comparison.execution.workers import beside, crew, measure_rate, row_tokens
    from luthier.evals.forgetting import general_loss

    _check_distinct(request, lm, split)
    workers, threads = crew(lm, request.threads, request.seeds * len(trials_of(request, request.model)))
    plan = Plan(request, 0, None, None, dtype, threads, lm.key, data_key(split), workers=workers)
    if not isinstance(lm, TrainableLM):
        return plan
    data = replace(split, test=())
    limit = request.max_length
    row = row_tokens(lm, data, limit)
    plan = replace(plan, base_loss=general_loss(lm), row_tokens=row)
    with beside(workers - 1, lm):
        if request.budget:
            plan = _within(
                plan, *parse_budget(request.budget), lambda: measure_rate(lm, data, request.batch, max_length=limit)
            )
            plan = _fitted(plan)
            _check_steps(plan)
            found = estimate(plan, data, len(split.test), measure_speed(plan, lm, data, mark))
        else:
            plan, found = _sharing(plan, lm, data, len(split.test), mark, share)
    return replace(plan, estimate=found.seconds(plan.tokens, workers), answering=found.answering)


def _check_distinct(request: Request, lm: WordedLM, split: Split) -> None:
    """Refuse specs that are the same thing on this task and model."""
    from luthier.runs.run import objective_of

    found = []
    for name in request.methods:
        spec, objective = request.spec(name), ""
        if spec.trains and not is_remote(lm):
            recipe = Plan(request, 1, None, None, "auto", 1, "", "").recipe(name, 0, 1, None)
            with suppress(Refused):  # its trial says why
                objective = type(objective_of(recipe, config.options(recipe), split, lm)).__name__
        found.append((spec, objective))
    check_distinct(found)


def _within(plan: Plan, kind: str, value: float, measured: Callable[[], float]) -> Plan:
    if kind == "tokens":
        return replace(plan, tokens=int(value))
    rate = measured()
    return replace(plan, tokens=max(int(value * rate), 1), seconds=value, rate=rate)


def _sharing(
    plan: Plan, lm: WordedLM, data: Split, test: int, mark: Path | None, share: float
) -> tuple[Plan, Estimate]:
    """The tokens with which the whole takes as long as `total` says. Raises LuthierError where answering alone does."""
    from luthier.comparison.estimate import estimate, measure_speed

    total = parse_total(plan.request.total) * share
    speed = measure_speed(plan, lm, data, mark)
    found = estimate(plan, data, test, speed)
    tokens = found.tokens(total, plan.workers)
    if not speed.rates:  # nothing trains, or nothing that does could be tried: their trials say why
        return replace(plan, tokens=1), found
    if tokens < 1:
        alone = formatting.duration(found.seconds(0, plan.workers))
        raise LuthierError(
            f"--total {plan.request.total}: answering and loading alone take about {alone}, nothing is left to train: "
            "give more time, fewer --methods, or fewer rows with --limit-test"
        )
    plan = _fitted(replace(plan, tokens=tokens, rate=max(speed.rates.values())))
    _check_steps(plan)
    return plan, found


def _fitted(plan: Plan) -> Plan:
    """The plan with steps of as many rows as its budget allows, unless somebody has said how many."""
    from luthier.comparison.execution.workers import fitting_batch

    if plan.request.held:
        return plan
    batch = fitting_batch(plan.row_tokens, plan.request.batch, plan.search_tokens // SHORT_RUNS)
    return replace(plan, request=replace(plan.request, batch=batch))


def _trained(plan: Plan) -> list[str]:
    return [method for method in plan.request.methods if plan.request.spec(method).trains]


def _check_steps(plan: Plan) -> None:
    """Refuse a budget that holds no step: each method would say so when its turn came."""
    step = plan.row_tokens * plan.request.batch
    if not _trained(plan) or not step or plan.tokens >= step:
        return
    rows = f"{plan.request.batch} rows" if plan.request.batch > 1 else "one row"
    enough = int(step * 8 * SHORT_RUNS / 1000 + 1)
    option = f"--total {plan.request.total}" if plan.request.total else f"--budget {plan.request.budget}"
    others = ",".join(m for m in plan.request.methods if m not in _trained(plan))
    without = f", or leave out what trains: --methods {others}" if others else ""
    raise LuthierError(
        f"{option} is {plan.tokens:,} tokens for each method and seed, and a step of {rows} takes about {step:,.0f}: "
        f"nothing could be trained. Give about --budget {enough}k-tokens, which is eight steps for each learning rate"
        f"{without}"
    )


def spoken_total(plan: Plan, rows: int) -> str:
    """What will be spent at most and how long it takes, in a sentence. rows: of the training part."""
    trained = len(_trained(plan))
    points = [plan, *(plan.on_rows(n, rows) for n in plan.request.curve if n < rows)]
    tokens = trained * sum(p.tokens * plan.request.seeds + p.search_tokens for p in points)
    if not plan.tokens:
        return f"{plan.request.model}: an endpoint, nothing is trained; answers come from it and from the cache"
    whole = f"{len(plan.request.methods)} methods, {plan.request.seeds} seed{'s' if plan.request.seeds > 1 else ''}"
    if not trained:
        return f"{whole}, nothing is trained{_time(plan)}"
    text = (
        f"{whole}: {plan.tokens:,} tokens of training for each method and seed, as many again to search learning "
        f"rates, at most {tokens:,} tokens in all{', the curve included' if len(points) > 1 else ''}"
    )
    if (batch := plan.request.batch) < Request().batch and not plan.request.held:
        text += f", in steps of {batch} row{'s' if batch > 1 else ''} for a budget this small"
    if _unsearched(plan):
        text += "; too few steps to choose a learning rate by: the middle of each range is taken"
    return text + _time(plan)


def largest(plan: Plan, lm: WordedLM, split: Split) -> str:
    """What one run of the method takes that trains most of the weights; "" where nothing is trained."""
    from luthier.planning.before import planned
    from luthier.planning.spoken import operations

    made = {method: config.options(plan.recipe(method, 0, plan.tokens, None)) for method in _trained(plan)}
    chosen = next((m for m, patch in made.items() if getattr(patch, "save_as", "") == "model"), next(iter(made), ""))
    found = planned(lm, plan.recipe(chosen, 0, plan.tokens, None), split, measuring=0.0) if chosen else None
    if found is None:
        return ""
    trained = f"{formatting.count(found.trained)} of {formatting.count(found.parameters)} parameters"
    return f". A run of {chosen} trains {trained}: {operations(found.flops)}, {formatting.size(found.peak)} of memory"


def _time(plan: Plan) -> str:
    if plan.estimate is None:
        return "; evaluation comes on top"
    each = f" by {plan.workers} workers" if plan.workers > 1 else ""
    answers = formatting.duration(plan.answering / plan.workers)
    return f". About {formatting.duration(plan.estimate)}{each}, {answers} of them to answer"


def _unsearched(plan: Plan) -> bool:
    """Whether no method that trains has steps enough for a search."""
    made = [config.options(plan.recipe(method, 0, 1, None)) for method in _trained(plan)]
    steps = [plan.short_steps(len(patch.learning_rates)) for patch in made if isinstance(patch, Patch)]
    return bool(steps) and all(n is not None and n < FEWEST for n in steps)
