"""Which learning rate of a search is taken.

The loss decides, since it sees progress long before the answers change. But it misleads where labels are judged and a
short run has collapsed: a model that has begun to memorise is sure of itself, and its few mistakes cost more than even
odds on everything. So a rate is out when another one has clearly more rows right: by more than two standard errors of
the difference, row by row.
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
    """The rate to go on with: the lowest loss among those that are not clearly worse than the one with most rows right.

    Scores are of the same rows in the same order; without them the loss alone decides.
    """
    if all(t.per_row for t in tried):
        best = max(tried, key=lambda t: statistics.fmean(t.per_row))
        tried = [t for t in tried if not _clearly_worse(t, best)]
    return min(tried, key=lambda t: math.inf if math.isnan(t.loss) else t.loss).rate


def _clearly_worse(tried: Tried, best: Tried) -> bool:
    lost = [b - a for a, b in zip(tried.per_row, best.per_row, strict=True)]
    return statistics.fmean(lost) > 2 * statistics.pstdev(lost) / math.sqrt(len(lost))
