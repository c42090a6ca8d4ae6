"""A plan as lines of text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from luthier.evals.formatting import count, duration, share, size
from luthier.planning.plan import Plan

PARTS = {
    "program": "program", "weights": "weights", "copies": "what the weights were", "masters": "float32 masters",
    "gradients": "gradients", "optimiser": "optimiser", "activations": "activations", "head": "head and work space",
    "kept": "kept states", "heap": "freed and not given back", "gathered": "gathered blocks",
}  # fmt: skip
UNITS = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")
SMALL = 0.005  # of the memory: parts below are not named


def operations(flops: float) -> str:
    """A number of additions and multiplications: 9.1 TFLOP."""
    at = 0
    while flops >= 999.5 and at < len(UNITS) - 1:
        flops, at = flops / 1000, at + 1
    return f"{flops:.3g} {UNITS[at]}FLOP"


def hours(seconds: float) -> str:
    """A time that may be long: 4.2 s, 3 h 04 m, 34 days."""
    return duration(seconds) if seconds < 3 * 86400 else f"{seconds / 86400:,.0f} days"


def brief(plan: Plan) -> str:
    """In one line, before training."""
    trained = share(min(plan.trained / plan.parameters, 1.0))
    return (
        f"plan: {count(plan.parameters)} parameters, {count(plan.trained)} trained ({trained}); {plan.tokens:,} tokens "
        f"in {plan.steps:,} steps, {operations(plan.flops)}; about {hours(plan.seconds)}, {size(plan.peak)} of memory"
        f"{'' if plan.peak <= plan.at_hand else f', of which {size(plan.at_hand)} are there'}"
    )


def lines(plan: Plan) -> list[str]:
    """All that a plan says."""
    parts = [(PARTS[name], value) for name, value in plan.memory.items() if value >= SMALL * plan.peak]
    each = plan.tokens / plan.steps
    where = "here" if plan.machine == "here" else f"on {plan.machine}"
    price = f", {plan.cost:,.2f} dollars" if plan.cost is not None else ""
    told = [
        f"{plan.model}, {plan.method}: {count(plan.parameters)} parameters ({plan.parameters:,}), "
        f"{count(plan.trained)} of them trained ({share(min(plan.trained / plan.parameters, 1.0))})",
        f"Work: {plan.tokens:,} tokens in {plan.steps:,} steps of about {each:,.0f}, {operations(plan.flops)}",
        f"Memory{' of each' if '×' in plan.machine else ''}: {size(plan.peak)} of {size(plan.at_hand)}: "
        + ", ".join(f"{name} {size(value)}" for name, value in parts),
        f"Time {where}: {hours(plan.seconds)}{price}",
    ]
    if plan.fits:
        told.append(f"Largest micro-batch that fits: {plan.fits[0]:,} tokens, {plan.fits[1]:,} rows")
    else:
        told.append("It does not fit: not one row")
    return [*told, *(f"Assumed: {text}" for text in plan.assumed)]


def record(plan: Plan) -> dict[str, Any]:
    """As plain values."""
    return {**asdict(plan), "peak": plan.peak}
