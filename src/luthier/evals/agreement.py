"""How well numbers for answers agree with what people preferred, beside what length alone would tell.

right: share of pairs whose better answer has the higher number; a tie counts half, and each row counts once.
length: the same by the answers' length, the longer or the shorter one, whichever is right more often on these rows,
which is kind to length. Calibration: pairs by how likely σ(difference) says the named answer is the better one, and how
often it was.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from luthier.core.phrases import Phrase, say
from luthier.evals.bootstrap import Bootstrap, Interval

BINS = (0.5, 0.6, 0.75, 0.9, 1.0)  # how sure σ(difference) is of the answer that it names
FEWEST = 5  # pairs of a bin that are worth a figure
Told = Sequence[tuple[int, float, int]]  # row, difference of numbers, difference of lengths; the better answer's first


@dataclass(frozen=True)
class Bin:
    """Pairs that a judge is about as sure of. said: the mean of what it says; right: the share that it has right."""

    low: float
    high: float
    pairs: int
    said: float
    right: float


@dataclass(frozen=True)
class Agreement:
    """Of rows with a preference. ahead: of length, on the same rows. longer, shorter: right where the better answer is

    the longer and the shorter one, None where that never happens. margins: differences of the numbers, sorted.
    """

    rows: int
    pairs: int
    right: Interval
    length: Interval
    ahead: Interval
    longer: float | None
    shorter: float | None
    bins: tuple[Bin, ...]
    margins: tuple[float, ...]

    @property
    def doubts(self) -> list[Phrase]:
        """What speaks against the judge."""
        found = []
        if self.right.low <= 0.5:
            found.append(say("said_reward_chance" if self.right.high >= 0.5 else "said_reward_below_chance"))
        if self.ahead.low <= 0:
            found.append(say("said_reward_length" if self.ahead.high >= 0 else "said_reward_below_length"))
        return found


def agreement(told: Told) -> Agreement:
    """From the pairs of all rows; there must be one."""
    numbers, lengths = _by_row([(row, apart) for row, apart, _ in told]), _by_row([(r, n) for r, _, n in told])
    if fmean(lengths) < 0.5:
        lengths = [1 - share for share in lengths]
    both = Bootstrap({"judge": [numbers], "length": [lengths]})
    return Agreement(
        len(numbers), len(told), both.score("judge"), both.score("length"), both.difference("judge", "length"),
        _share([a for _, a, n in told if n > 0]), _share([a for _, a, n in told if n < 0]), tuple(_bins(told)),
        tuple(sorted(apart for _, apart, _ in told)),
    )  # fmt: skip


def _told(apart: float) -> float:
    return float(apart > 0) + 0.5 * float(apart == 0)


def _share(found: Sequence[float]) -> float | None:
    return fmean(map(_told, found)) if found else None


def _by_row(found: Sequence[tuple[int, float]]) -> list[float]:
    rows: defaultdict[int, list[float]] = defaultdict(list)
    for row, apart in found:
        rows[row].append(_told(apart))
    return [fmean(each) for each in rows.values()]


def _bins(told: Told) -> Iterator[Bin]:
    sure = [(1 / (1 + math.exp(-min(abs(apart), 700.0))), apart > 0) for _, apart, _ in told if apart]
    for low, high in pairwise(BINS):
        inside = [(p, right) for p, right in sure if low <= p < high or (high == BINS[-1] and p >= low)]
        if len(inside) >= FEWEST:
            yield Bin(low, high, len(inside), fmean(p for p, _ in inside), fmean(right for _, right in inside))
