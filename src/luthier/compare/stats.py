"""Intervals by the bootstrap over test rows, paired between methods; seeds are resampled too.

Source: Efron & Tibshirani 1993; paired use as in Berg-Kirkpatrick et al. 2012.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

RESAMPLES = 10_000
BLOCK = 8_000_000  # numbers drawn at once: bounds memory for large test sets
Array = np.ndarray[Any, Any]


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

    per_row: method -> (seeds, N) scores of the test rows.
    """

    def __init__(self, per_row: Mapping[str, Sequence[Sequence[float]]], seed: int = 0) -> None:
        self.scores = {m: np.asarray(rows, dtype=float) for m, rows in per_row.items()}
        sizes = {s.shape[1] for s in self.scores.values()}
        if len(sizes) > 1:
            raise ValueError(f"methods were scored on different numbers of rows: {sorted(sizes)}")
        n = sizes.pop() if sizes else 1
        rng = np.random.default_rng(seed)
        by_seed: dict[str, list[Array]] = {m: [] for m in self.scores}
        for at in range(0, RESAMPLES, block := max(1, BLOCK // n)):
            share = rng.multinomial(n, np.full(n, 1 / n), size=min(block, RESAMPLES - at)) / n
            for method, scores in self.scores.items():
                by_seed[method].append(share @ scores.T)
        self.means = {m: self._over_seeds(np.concatenate(found), seed) for m, found in by_seed.items()}

    @staticmethod
    def _over_seeds(by_seed: Array, seed: int) -> Array:
        """Resample the seeds too: by_seed (RESAMPLES, k) -> (RESAMPLES,); the same draw for all methods of k seeds."""
        k = by_seed.shape[1]
        share = np.random.default_rng([seed, k]).multinomial(k, np.full(k, 1 / k), size=RESAMPLES) / k
        return np.asarray((by_seed * share).sum(1))

    def score(self, method: str) -> Interval:
        """Mean score of a method."""
        return _interval(float(self.scores[method].mean()), self.means[method])

    def difference(self, a: str, b: str) -> Interval:
        """How much a is above b on the same rows."""
        value = float(self.scores[a].mean() - self.scores[b].mean())
        return _interval(value, self.means[a] - self.means[b])


def _interval(value: float, resampled: Array) -> Interval:
    low, high = np.percentile(resampled, [2.5, 97.5]).round(12)  # the last bits are noise of summing
    return Interval(value, float(low), float(high))
