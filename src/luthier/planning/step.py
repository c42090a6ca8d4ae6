"""A step of training on a model without numbers: what it holds, at most and by part, and the operations it is made of.

Blocks that are alike need not all be run: everything grows by the same amount with each, so that one and two of them
tell of any number. Where a patch treats blocks apart, all of them are run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from luthier.core.errors import LuthierError
from luthier.core.methods import Objective, Patch
from luthier.core.records import Record
from luthier.data.pack import micro_batches
from luthier.io import config
from luthier.models.base import TrainableLM
from luthier.models.inference.feature_cache import LIMIT
from luthier.models.kernels.fast import fast
from luthier.models.loading.empty import few_of, ready, shallow, stacks_of, unfilled
from luthier.planning.dry_run import DryRun, Operation
from luthier.planning.job import Job
from luthier.runs.run import objective_of
from luthier.training.attach import prepared
from luthier.training.context import Context

FEW = (1, 2)  # blocks that stand for all
ENOUGH = 6  # blocks, from which on not all are run
LOOKED_AT = 256  # rows whose lengths stand for all
STEPS = 200  # of training, at most, whose largest micro-batch is looked for
ENDLESS = 10**12  # tokens
PASSES, MOVE = ("batch", "forward", "loss", "backward"), ("move",)  # phases of a step
Work = Counter[Operation]


@dataclass(frozen=True)
class Rows:
    """What a step learns from. each: tokens of a row, on average. rows: those of a large micro-batch, and of another
    where a step has several; () for a text. micro: tokens of the largest. count: of all rows; 0 for a text."""

    each: float
    rows: tuple[Record, ...]
    micro: int
    count: int


@dataclass(frozen=True)
class Step:
    """Of a run: numbers (parameters, tokens, bytes) by name, and operations.

    first: of the passes over what is seen for the first time; passes: of later ones, of the same `tokens`; move: of the
    optimiser's step. kept: how many of the tokens' states are kept from the first time on.
    """

    numbers: Mapping[str, float]
    first: Work = field(repr=False)
    passes: Work = field(repr=False)
    move: Work = field(repr=False)

    def __getitem__(self, name: str) -> float:
        return self.numbers[name]


class _Watched:
    """An objective that tells when its loss begins and ends."""

    def __init__(self, objective: Objective, run: DryRun, live: dict[str, float]) -> None:
        self._inner, self._run, self._live = objective, run, live

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def loss(self, out: Any, batch: Any) -> Any:
        self._live.setdefault("forward", self._run.live)
        self._run.enter("loss")
        found = self._inner.loss(out, batch)
        self._run.enter("backward")
        return found


def step_of(job: Job) -> tuple[Step, Rows]:
    """The step and what it learns from. Raises LuthierError for what cannot be run without numbers."""
    if not isinstance(config.options(job.recipe), Patch):
        raise LuthierError(f"{job.recipe.method} trains no weights: there is nothing to plan")
    with DryRun():
        model = unfilled(job.config, job.recipe.model, _dtype(job))
        parameters = float(sum(p.numel() for p in ready(model, job.tokenizer, job.recipe.model).model.parameters()))
        depths = {len(stack) for stack in stacks_of(model)}
        alike = len(depths) == 1 and max(depths) >= ENOUGH and _alike(model)
    found = _few(job, max(depths)) if alike else None
    step, rows = found or _run(job, None, None)
    return replace(step, numbers={**step.numbers, "parameters": parameters}), rows


def _few(job: Job, depth: int) -> tuple[Step, Rows] | None:
    """What a few blocks tell; None where the patch treats blocks apart, or names one that is not among these."""
    steps, rows = [], None
    for blocks in FEW:
        try:
            step, rows = _run(job, blocks, rows)
        except LuthierError:
            return None  # where the reason is another one, all blocks tell it
        steps.append(step)
    assert rows is not None
    return _grown(steps, depth), rows


def _dtype(job: Job) -> Any:
    return getattr(torch, job.recipe.dtype)


def _alike(model: Any) -> bool:
    """Whether all blocks of a stack but the first are of one kind and shape."""
    kinds = getattr(model.config.get_text_config(), "layer_types", None) or [""]
    shapes = [[[(n, p.shape) for n, p in block.named_parameters()] for block in stack] for stack in stacks_of(model)]
    return len(set(kinds)) == 1 and all(block == stack[0] for stack in shapes for block in stack)


def _grown(few: Sequence[Step], depth: int) -> Step:
    """What steps with FEW blocks tell of one with `depth`."""
    less, more = few
    by = (depth - FEW[0]) / (FEW[1] - FEW[0])

    def line(a: Mapping[Any, float], b: Mapping[Any, float]) -> dict[Any, Any]:
        return {key: a.get(key, 0) + by * (b.get(key, 0) - a.get(key, 0)) for key in {**a, **b}}

    works = [Counter(line(getattr(less, part), getattr(more, part))) for part in ("first", "passes", "move")]
    return Step(line(less.numbers, more.numbers), *works)


def _run(job: Job, blocks: int | None, rows: Rows | None) -> tuple[Step, Rows]:
    """The step of a model with so many blocks."""
    recipe = job.recipe
    patch: Patch = config.options(recipe)
    dry = DryRun()
    with dry:
        model = unfilled(few_of(job.config, blocks), recipe.model, _dtype(job))
        if blocks is not None:
            shallow(model, blocks)
        lm = ready(model, job.tokenizer, recipe.model)
    objective = objective_of(recipe, patch, job.data, lm)
    if "sampling" in objective.needs:
        raise LuthierError(f"{type(objective).__name__} draws its answers: what they take is known when it has begun")
    rows = rows or _rows(job, lm, objective)
    training = replace(
        recipe.training, tokens=ENDLESS, epochs=None, batch=_batch(job, rows), micro_tokens=max(rows.micro, 1)
    )
    dry.done.clear()
    dry.peaks.clear()
    with dry, prepared(Context(lm, job.data), patch, objective, training, some=rows.rows) as loop, fast(lm.model):
        if blocks is not None and patch.cut(loop.ctx.policy) is not None:
            raise LuthierError(f"{recipe.method}: its blocks are not alike")
        return _traced(dry, loop.loop, patch), rows


def _batch(job: Job, rows: Rows) -> int:
    return len(rows.rows) or max(min(job.recipe.training.batch, 2 * rows.micro // max(int(rows.each), 1)), 1)


def _rows(job: Job, lm: TrainableLM, objective: Objective) -> Rows:
    """Lengths of rows as this objective reads them, and the largest micro-batch of many steps."""
    training = job.recipe.training
    if job.data.stream is not None:
        each = getattr(objective, "max_length", lm.context)
        return Rows(each, (), min(max(training.micro_tokens, each), each * training.batch), 0)
    import numpy as np

    records = list(objective.rows(job.data))
    some = records[:LOOKED_AT]
    work = lm.asked(template=lm.wordings(job.data.labels)[0], labels=job.data.labels)
    work = replace(work, longest=None, room=0)
    examples = objective.encode(work, job.data, some)
    if not examples:
        raise LuthierError("nothing to learn from: no row has a token that carries loss within max_length")
    sizes = [0] * len(some)
    for example in examples:
        sizes[example.row] += example.tokens
    each = sum(sizes) / len(sizes)
    count = min(max(int(training.tokens / max(each * training.batch, 1)), 1), STEPS)
    largest, other = list[int](), list[int]()
    random = np.random.default_rng(job.recipe.seed)
    for _ in range(count):
        chosen = random.choice(len(some), min(training.batch, len(some)), replace=False)
        parts = micro_batches([e for at in chosen for e in examples if e.row == at], training.micro_tokens)
        found = sorted((sum(e.tokens for e in part), sorted({e.row for e in part})) for part in parts)
        if found[-1][0] > sum(sizes[at] for at in largest):
            largest, other = found[-1][1], found[-2][1] if len(found) > 1 else []
    return Rows(each, tuple(some[at] for at in (*largest, *other)), sum(sizes[at] for at in largest), len(records))


def _traced(dry: DryRun, loop: Any, patch: Patch) -> Step:
    """Two steps of a loop: the second finds what the first has left."""
    lm, executor, live = loop.lm, loop.executor, dict[str, float]()
    held = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in _tensors(lm.model)}
    numbers: dict[str, float] = {
        "trained": sum(p.numel() for p in executor.masters.values()), "weights": sum(held.values()),
        "masters": sum(m.nbytes for n, m in executor.masters.items() if m is not executor.params[n]),
        "aside": base[1] / 2 * lm.head.weight.element_size() if (base := patch.base_bytes(lm)) else 0,
    }  # fmt: skip
    before = dry.live
    numbers["blocks"] = len(lm.blocks)
    setup = dry.done.get("", Work())
    numbers["copies"] = before - numbers["weights"] - numbers["masters"]
    works: list[tuple[Work, Work]] = []
    once = dry.peaks.get("", 0)  # by what is computed before training
    for turn in ("first", "later"):
        dry.done.clear()
        dry.peaks.clear()
        live.clear()
        dry.enter("batch")
        examples = next(loop.objective.batches(loop.ctx, loop.examples, loop.training.batch, loop.cursor))
        dry.enter("forward")
        begun = numbers["begun"] = dry.live
        executor.forward_backward(examples, _Watched(loop.objective, dry, live))
        dry.enter("move")
        numbers["gradients"] = dry.live - begun
        executor.clip_and_step(1e-3, 0.5)
        works.append((_sum(dry, PASSES), _sum(dry, MOVE)))
        if turn == "first":
            numbers["kept"] = sum(t.nbytes for t in loop.ctx.policy.trunks.values())
            numbers["optimiser"] = dry.live - before - numbers["kept"]
            once = max(once, *dry.peaks.values())
    numbers |= {f"peak {phase}": peak for phase, peak in dry.peaks.items()} | {"peak once": once}
    numbers["activations"] = live["forward"] - begun
    numbers["tokens"] = sum(e.tokens for e in examples)
    numbers["rows"] = len({e.row for e in examples})
    numbers["others"] = loop.ctx.meter.total
    first = works[0][0] + (setup if executor.trunk is not None else Work())
    return Step(numbers, first, works[1][0], works[1][1])


def _sum(dry: DryRun, phases: Sequence[str]) -> Work:
    return sum((dry.done.get(phase, Work()) for phase in phases), Work())


def _tensors(model: Any) -> list[Any]:
    return [*model.parameters(), *model.buffers()]


def kept_bytes(step: Step, rows: int) -> float:
    """States of a frozen part that are kept for so many rows."""
    return min(step["kept"] / max(step["rows"], 1) * rows, LIMIT)
