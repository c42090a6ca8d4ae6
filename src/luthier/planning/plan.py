"""The plan of a job: what its run spends, the memory that it takes by part, how long it takes and what that costs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from luthier.core import plugins
from luthier.core.catalog import suggest
from luthier.core.errors import LuthierError
from luthier.io.config import TrainingConfig
from luthier.models.machine import Heap, device, held_memory, memory, pick_dtype, threads
from luthier.planning.job import Job
from luthier.planning.step import Rows, Step, Work, kept_bytes, step_of
from luthier.training.early_stopping import ROWS, SHARE

FIXED = ("weights", "copies", "masters", "gradients", "optimiser")
FULL = 0.95  # of the memory that is left over, for what grows with tokens
TRAINED = 3  # times what a pass without gradients takes
GATHERED = 2  # blocks whose weights a device of several holds whole at a time


@dataclass(frozen=True)
class Machine:
    """Hardware that is not here. count: how many, which share weights, gradients and optimiser (Rajbhandari et al.
    2020, "ZeRO") and divide the tokens of a step."""

    name: str
    count: int
    flops: float
    memory: float
    price: float
    mfu: float


@dataclass(frozen=True)
class Plan:
    """parameters, trained: numbers. tokens: of the budget, in `steps`. flops: of the whole run. memory: bytes by part,
    `peak` is their sum. at_hand: bytes that may be used. fits: tokens of the largest micro-batch, and rows of that
    many; None where not even one fits. seconds: of training. cost: in the price's currency; None without one."""

    model: str
    method: str
    machine: str
    parameters: int
    trained: int
    tokens: int
    steps: int
    flops: float
    memory: Mapping[str, int]
    at_hand: int
    fits: tuple[int, int] | None
    seconds: float
    cost: float | None = None
    assumed: tuple[str, ...] = field(default=())

    @property
    def peak(self) -> int:
        """Bytes."""
        return sum(self.memory.values())


def machine_of(text: str, price: float | None = None) -> Machine:
    """Of "h100" or "h100x8". Raises LuthierError where it is not known."""
    known = plugins.members("machines")
    match = re.fullmatch(r"(.+?)x([1-9]\d{0,5})", text.lower()) if text.lower() not in known else None
    name, count = (match[1], int(match[2])) if match else (text.lower(), 1)
    if name not in known:
        raise LuthierError(f"--on {text}: {name} is none that is known{suggest(name, known)}; several: h100x8")
    about = known[name].constants
    given = about["PRICE"] if price is None else price
    called = f"{about['NAME']} × {count:,}" if count > 1 else about["NAME"]
    return Machine(called, count, about["FLOPS"], about["MEMORY"], given, about["MFU"])


def settled(job: Job, machine: Machine | None = None) -> Job:
    """The job with the number format that suits the machine, and on this one with its threads."""
    recipe = job.recipe
    if machine is None:
        threads(recipe.threads)
    dtype = "bfloat16" if machine and recipe.dtype == "auto" else pick_dtype(recipe.dtype)
    return replace(job, recipe=replace(recipe, dtype=dtype))


@dataclass(frozen=True)
class Spent:
    """Of a whole run. trained: tokens that gradients are taken of. new: rows that are seen for the first time.

    looked: tokens of validation rows, over all looks at them.
    """

    trained: float
    new: float
    steps: float
    looked: float = 0.0


def spent(job: Job, step: Step, rows: Rows) -> Spent:
    """How the budget is spent: what is read besides, once for each row, counts in it."""
    training = job.recipe.training
    budget = float(training.tokens)
    each = rows.each
    more = step["others"] / step["tokens"] * each  # of a row
    count = rows.count or float("inf")
    trained = budget / (1 + more / each)
    if trained / each > count:
        trained = max(budget - count * more, 0.0)
    if training.epochs is not None and rows.count:
        trained = min(trained, training.epochs * rows.count * each)
    steps = trained / (each * training.batch)
    look = job.looked_at or each * len(job.data.validation[:ROWS])
    return Spent(trained, min(trained / each, count), steps, look * _looks(training, steps))


def _looks(training: TrainingConfig, steps: float) -> float:
    """How often validation rows are looked at."""
    every = training.evaluate_every or (SHARE if training.early_stop else None)
    return 0.0 if every is None else 1 / every if every < 1 else steps / every


def made(job: Job, machine: Machine | None = None, price: float | None = None, measuring: float = 0.8) -> Plan:
    """The plan for this machine, or another one. measuring: seconds of it, at most.

    Raises LuthierError for what cannot be run without numbers.
    """
    step, rows = step_of(job)
    used = spent(job, step, rows)
    times, once = (used.trained + used.looked / TRAINED) / step["tokens"], used.new * rows.each / step["tokens"]
    first, passes, move = (_flops(work) for work in (step.first, step.passes, step.move))
    flops = times * passes + once * max(first - passes, 0.0) + used.steps * move
    parts, per_token = _memory(job, step, rows, machine)
    hand = machine.memory if machine else _at_hand() + (parts.get("program", 0))
    free = hand - sum(parts.values()) + sum(parts.get(name, 0) for name in ("activations", "head", "heap"))
    largest = int(min(FULL * free / per_token, job.recipe.training.tokens)) if per_token else 0
    if machine:
        seconds = flops / (machine.count * machine.flops * machine.mfu)
        cost: float | None = seconds / 3600 * machine.count * machine.price
    else:
        seconds = _here(step, used, times, once, rows, measuring)
        cost = seconds / 3600 * price if price is not None else None
    return Plan(
        job.recipe.model, job.recipe.method, machine.name if machine else "here", round(step["parameters"]),
        round(step["trained"]), round(used.trained), max(round(used.steps), 1), flops,
        {name: round(value) for name, value in parts.items()}, round(hand),
        (largest, int(largest / rows.each)) if largest >= rows.each else None, seconds, cost, _assumed(job, machine),
    )  # fmt: skip


def _flops(work: Work) -> float:
    return sum(operation.flops * count for operation, count in work.items())


def _memory(job: Job, step: Step, rows: Rows, machine: Machine | None) -> tuple[dict[str, float], float]:
    """Bytes by part on one device, and of each token of a micro-batch."""
    parts = {name: step[name] for name in FIXED}
    peak = max(value for name, value in step.numbers.items() if name.startswith("peak"))
    growing = max(peak - sum(parts.values()) - step["kept"], 0.0)
    parts["activations"] = min(step["activations"], growing)
    parts["head"] = growing - parts["activations"]
    parts["kept"] = kept_bytes(step, rows.count)
    per_token = growing / max(rows.micro, 1)
    if machine is None:
        parts = {"program": float(held_memory() + job.held), **parts}
        cut = min((Heap.GROWN - 1) * sum(parts.values()), growing) if device() == "cpu" else 0.0
        return {**parts, "heap": cut}, per_token * (2 if cut else 1)
    parts["copies"] -= step["aside"]
    if machine.count > 1:
        whole = parts["weights"]
        for name in FIXED:
            parts[name] /= machine.count
        parts["gathered"] = GATHERED * whole / max(step["blocks"], 1)
    return parts, per_token


def _at_hand() -> float:
    if device() == "cuda":
        import torch

        return float(torch.cuda.mem_get_info()[0])
    return float(memory().get("available", 0))


def _here(step: Step, used: Spent, times: float, once: float, rows: Rows, measuring: float) -> float:
    """Seconds on this machine: of a CPU by its operations, of a GPU by its products."""
    from luthier.planning import here

    if device() == "cuda":
        return here.on_gpu(times * _flops(step.passes) + once * _flops(step.first) + used.steps * _flops(step.move))
    first, passes, move = here.seconds(measuring, step.first, step.passes, step.move)
    grown = max(value for name, value in step.numbers.items() if name.startswith("peak")) - step["begun"]
    touched = here.first_touch() * grown * max(step["tokens"] / max(rows.micro, 1), 1.0)
    return times * (passes + touched) + once * max(first - passes, 0.0) + used.steps * move


def _assumed(job: Job, machine: Machine | None) -> tuple[str, ...]:
    told = [job.assumed] if job.assumed else []
    if machine:
        told.append(f"{machine.mfu:.0%} of the peak of {machine.flops / 1e12:.0f} TFLOP/s in bfloat16 is reached")
        if machine.count > 1:
            told.append("weights, gradients and optimiser are shared out; what goes between devices is hidden")
    else:
        told.append("time: of training, with nothing else at work here; loading and the test rows come on top")
    return tuple(told)
