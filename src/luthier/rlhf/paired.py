"""Numbers of two stages on the same prompts, compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev


def paired(own: Sequence[float], other: Sequence[float], each: int) -> tuple[float, float]:
    """Mean difference and its standard error, `each` answers to a prompt being one cluster."""
    apart = [a - b for a, b in zip(own, other, strict=True)]
    return clustered([fmean(apart[at : at + each]) for at in range(0, len(apart), each)])


def clustered(means: Sequence[float]) -> tuple[float, float]:
    """The mean of clusters' means and its standard error, infinite for a single one."""
    return fmean(means), stdev(means) / math.sqrt(len(means)) if len(means) > 1 else math.inf


def without_length(
    numbers: Sequence[Sequence[float]], lengths: Sequence[Sequence[int]]
) -> tuple[list[float], list[float]]:
    """What length leaves of the numbers of two stages: a slope within each of them, so that it explains no difference
    between them but by the lengths. How uncertain the slope is, is in no standard error."""
    spread = covered = 0.0
    for values, sizes in zip(numbers, lengths, strict=True):
        mean, middle = fmean(values), fmean(sizes)
        spread += math.fsum((n - middle) ** 2 for n in sizes)
        covered += math.fsum((n - middle) * (v - mean) for v, n in zip(values, sizes, strict=True))
    slope = covered / spread if spread else 0.0
    one, other = ([v - slope * n for v, n in zip(vs, ns, strict=True)] for vs, ns in zip(numbers, lengths, strict=True))
    return one, other
