"""The learning rate's share of its peak, by the share of the budget that is spent; behind a linear warm-up."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

LEAST = 0.1  # of the peak, at the end


def warmed(share: float, warmup: float) -> float | None:
    """The share of the peak while it rises: linear, half a step in, so that the first step is not wasted at zero."""
    return max(share / warmup, 0.1) if share < warmup else None


def cosine(share: float, warmup: float, decay: float) -> float:
    """Half a cosine from the end of the warm-up, to a tenth."""
    if (rising := warmed(share, warmup)) is not None:
        return rising
    turn = min((share - warmup) / max(1 - warmup, 1e-9), 1.0)
    return LEAST + 0.5 * (1 - LEAST) * (1 + math.cos(math.pi * turn))


def wsd(share: float, warmup: float, decay: float) -> float:
    """Warm-up, stable, decay: at the peak until the last `decay` of the budget, then to a tenth as 1 - √ of the way.

    Source: Hu et al. 2024 (MiniCPM); the form of the decay: Hägele et al. 2024.
    """
    if (rising := warmed(share, warmup)) is not None:
        return rising
    turn = min(max((share - (1 - decay)) / max(decay, 1e-9), 0.0), 1.0)
    return LEAST + (1 - LEAST) * (1 - math.sqrt(turn))


def constant(share: float, warmup: float, decay: float) -> float:
    """At the peak to the end."""
    rising = warmed(share, warmup)
    return 1.0 if rising is None else rising


SCHEDULES: Mapping[str, Callable[[float, float, float], float]] = {"cosine": cosine, "wsd": wsd, "constant": constant}
