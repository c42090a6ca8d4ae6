"""Intervals by the bootstrap over test rows, paired between methods; seeds are resampled too.

Source: Efron & Tibshirani 1993; paired use as in Berg-Kirkpatrick et al. 2012. What is said of many rows at once rests
on the largest studentised deviation over all pairs (max-t, Westfall & Young 1993). All pairs, since the best is chosen
by the same rows: where all methods are equal, the distance from the chosen best to the last is the range of them all
(Tukey 1953), and a family of the others against the chosen one would be too small (docs/LOG.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

RESAMPLES = 10_000
BLOCK = 8_000_000  # numbers drawn at once: bounds memory for large test sets
Z = 1.959964  # of a normal distribution, 95 %
SHRUNK = 0.5  # of a resample's noise, when the best is chosen anew: see `Bootstrap.optimism`
FEW = 8  # blocks of text: of fewer there is no interval
NOTHING = 1e-12  # the last bits are noise of summing
Array = np.ndarray[Any, Any]
Statistic = Callable[[Array, Array], Array]  # codes (N, ...) and shares of the rows (R, N) -> scores (R,)


@dataclass(frozen=True)
class Interval:
    """A 95 % interval around a value."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the sign is sure at 95 %."""
        return self.low > 0 or self.high < 0


class Bootstrap:
    """The same resampled rows (and seeds, where their number is the same) for every method: differences are paired.

    per_row: method -> (seeds, N) scores of the test rows, whose mean is the score. Where the score of other rows is no
    mean over them (macro-F1), `statistic` gives it from `codes`: method -> (seeds, N, ...), what each row contributes.
    """

    def __init__(
        self, per_row: Mapping[str, Sequence[Sequence[float]]], seed: int = 0, statistic: Statistic | None = None,
        codes: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.scores = {m: np.asarray(rows, dtype=float) for m, rows in per_row.items()}
        sizes = {s.shape[1] for s in self.scores.values()}
        if len(sizes) > 1:
            raise ValueError(f"methods were scored on different numbers of rows: {sorted(sizes)}")
        n = sizes.pop() if sizes else 1
        self.seeds = {m: len(rows) for m, rows in self.scores.items()}
        coded = [np.asarray(found) for m in self.scores for found in (codes or {})[m]] if statistic else []
        rows = np.concatenate([*self.scores.values()]).T if self.scores else np.zeros((n, 0))
        found = [
            np.stack([statistic(one, share) for one in coded], 1) if statistic and coded else share @ rows
            for share in draws(n, seed)
        ]
        by_seed = np.concatenate(found)
        ends = np.cumsum([0, *self.seeds.values()])
        self.means = {
            m: _over_seeds(by_seed[:, a:b], seed) for m, a, b in zip(self.scores, ends[:-1], ends[1:], strict=True)
        }

    def value(self, method: str) -> float:
        """The score on the rows as they are."""
        return float(self.scores[method].mean())

    def score(self, method: str) -> Interval:
        """Score of a method. Of rows that are right or wrong the interval is Wilson's (1927), which holds near 0 and 1,
        with as many rows as have the bootstrap's variance; of others the percentiles, stretched for few rows."""
        value, means, rows = self.value(method), self.means[method], self.scores[method]
        spread = float(means.var())
        if set(np.unique(rows)) <= {0.0, 1.0} and (len(rows) == 1 or spread < NOTHING):
            return wilson(value, value * (1 - value) / spread if spread > NOTHING else rows.shape[1])
        by = _stretch(rows.mean(0))
        low, high = (value + by * (end - value) for end in np.percentile(means, [2.5, 97.5]))
        return _rounded(value, max(low, float(means.min())), min(high, float(means.max())))

    def difference(self, a: str, b: str) -> Interval:
        """How much a is above b on the same rows, as if nothing else were asked."""
        value, apart, spread = self._apart(a, b)
        return self._around(value, float(np.quantile(np.abs(apart), 0.95)) * spread * self._few(a, b))

    def together(self, a: str, b: str) -> Interval:
        """The same, wide enough that the intervals of all pairs of methods hold at once in 95 % of test sets: also
        where a or b was chosen by its score."""
        value, _, spread = self._apart(a, b)
        return self._around(value, self._widest * spread * self._few(a, b))

    def optimism(self, methods: Sequence[str]) -> float:
        """By how much the best score among these is too high for having been chosen, on average.

        The best is chosen anew under the noise of each resample, and how far that noise had lifted it is what its
        score gained. The scores are noisy already, so choosing under the whole noise again finds a method lucky twice
        and, where all are equal, 0.71 of the optimism; under half of it, 0.89. That is the coupled bootstrap (Oliveira,
        Lei & Tibshirani 2021), unbiased for scores of 1.25 times the variance.
        """
        if len(methods) < 2:
            return 0.0
        values = np.array([[self.value(m)] for m in methods])
        noise = np.stack([self.means[m] - self.means[m].mean() for m in methods])
        chosen = (values + SHRUNK * noise).argmax(0)
        return max(0.0, float(noise[chosen, np.arange(noise.shape[1])].mean()) / SHRUNK)

    def winner(self, methods: Sequence[str]) -> Interval:
        """The best score among these, corrected for having been chosen, with the interval of what it is truly worth.

        The correction is itself known to about half of its size: the interval goes further down, and up to where it
        went without (simulated: it holds 95 % on average, 92.6 % at least).
        """
        best = max(methods, key=self.value)
        own, off = self.score(best), self.optimism(methods)
        low = own.value - off - math.hypot(own.value - own.low, off)
        return _rounded(own.value - off, max(low, self._ends[0]), own.high)

    def _apart(self, a: str, b: str) -> tuple[float, Array, float]:
        """The difference, how far each resample is from it in standard errors, and the standard error."""
        value, found = self.value(a) - self.value(b), self.means[a] - self.means[b]
        spread = float(found.std())
        if spread < NOTHING:
            return value, np.zeros_like(found), 0.0
        return value, (found - value) / spread, spread

    def _around(self, value: float, half: float) -> Interval:
        """A difference with its interval: no further than the lowest row is from the highest."""
        most = self._ends[1] - self._ends[0]
        return _rounded(value, max(value - half, -most), min(value + half, most))

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """The lowest and the highest score of a row."""
        found = list(self.scores.values())
        return min(float(rows.min()) for rows in found), max(float(rows.max()) for rows in found)

    def _few(self, a: str, b: str) -> float:
        return _stretch(self.scores[a].mean(0) - self.scores[b].mean(0))

    @cached_property
    def _widest(self) -> float:
        """The deviation that no pair exceeds in 95 % of the resamples, in standard errors."""
        off = np.stack([found - self.value(m) for m, found in self.means.items()])
        most = np.zeros(off.shape[1])
        for at in range(len(off) - 1):
            apart = off[at] - off[at + 1 :]
            spread = apart.std(1)
            apart, spread = np.abs(apart[spread > NOTHING]), spread[spread > NOTHING]
            if len(apart):
                np.maximum(most, (apart / spread[:, None]).max(0), out=most)
        return float(np.quantile(most, 0.95))


def ratio(blocks: Sequence[Sequence[float]], seed: int = 0) -> Interval | None:
    """A sum by another, such as nats by bytes, over blocks of text that are drawn anew together; None for too few."""
    if len(blocks) < FEW:
        return None
    over, under = np.asarray(blocks, dtype=float).T
    value = float(over.sum() / under.sum())
    found = np.concatenate([(share @ over) / (share @ under) for share in draws(len(blocks), seed)])
    by = _stretch(over - value * under)
    low, high = (value + by * (end - value) for end in np.percentile(found, [2.5, 97.5]))
    return _rounded(value, low, high)


def draws(n: int, seed: int) -> Iterator[Array]:
    """Blocks of resamples: the share of each of n rows, (R, n)."""
    rng = np.random.default_rng(seed)
    for at in range(0, RESAMPLES, block := max(1, BLOCK // n)):
        yield rng.multinomial(n, np.full(n, 1 / n), size=min(block, RESAMPLES - at)) / n


def _over_seeds(by_seed: Array, seed: int) -> Array:
    """Resample the seeds too: by_seed (RESAMPLES, k) -> (RESAMPLES,); the same draw for all methods of k seeds."""
    k = by_seed.shape[1]
    if k == 1:
        return by_seed[:, 0]
    share = np.random.default_rng([seed, k]).multinomial(k, np.full(k, 1 / k), size=len(by_seed)) / k
    return np.asarray((by_seed * share).sum(1))


def _stretch(values: Array) -> float:
    """What an interval of a mean is widened by, since few rows decide it: as if two more deviated, one each way.

    Few are those that carry the variance, as many as are discordant between two methods that are right or wrong. For
    them it is the adjustment of Bonett & Price 2012, by which a difference is sure wherever McNemar's exact test says
    so and nowhere where its mid-p form (Fagerland et al. 2013) does not; the plain bootstrap calls 4 rows against none
    of 100 sure.
    """
    squares = np.square(values - values.mean())
    return math.sqrt(1 + 2 * float(np.square(squares).sum()) / whole**2) if (whole := float(squares.sum())) else 1.0


def wilson(share: float, rows: float) -> Interval:
    """A share of so many rows with its score interval (Wilson 1927): honest for few rows and at 0 and 1.

    With several seeds the share is a mean over them; rows stays their number, since seeds bring no new ones.
    """
    scale, middle = 1 + Z * Z / rows, share + Z * Z / (2 * rows)
    half = Z * math.sqrt(share * (1 - share) / rows + Z * Z / (4 * rows * rows))
    return _rounded(share, max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale))


def _rounded(value: float, low: float, high: float) -> Interval:
    return Interval(value, round(low, 12), round(high, 12))
