"""Which learning rate of a search is taken.

The loss alone misleads where labels are judged: a model that has begun to memorise is sure of itself, and its few
mistakes cost more than a model that has collapsed to a coin's even odds. So labels are judged first by how many rows
are right; the loss decides among the rates that are within one standard error of the best (Breiman et al. 1984,
"Classification and Regression Trees", choose so among prunings).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Tried:
    """A short run. loss: of the validation rows, nats. per_row: their scores by the task's metric, where they count."""

    rate: float
    loss: float
    per_row: tuple[float, ...] = ()


def chosen(tried: Sequence[Tried]) -> float:
    """The rate to go on with: the lowest loss, with scores only among those as good as the best."""
    if all(t.per_row for t in tried):
        best = max(tried, key=_mean)
        spread = statistics.pstdev(best.per_row) / math.sqrt(len(best.per_row))
        tried = [t for t in tried if _mean(t) >= _mean(best) - spread]
    return min(tried, key=lambda t: math.inf if math.isnan(t.loss) else t.loss).rate


def _mean(tried: Tried) -> float:
    return statistics.fmean(tried.per_row)
