"""Boards whose truth is known: how often what a leaderboard claims is false, and how far its winner is too high.

Methods answer the same rows and find the same ones hard, as real ones do (a shared part of their latent score). Their
true qualities are equal, rise evenly, or half of them share the top. Every board is judged as `compare` judges one:
each row against the best, which the same rows chose, and against the untuned one (the first).

    python bench/board_simulation.py [BOARDS] [ROWS]...        the whole table, as in docs/LOG.md
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from luthier.evals import bootstrap
from luthier.evals.bootstrap import Bootstrap

Array = np.ndarray[Any, Any]
SHARED = 0.6  # of the variance of a latent score, from the row itself
EASY = 0.84  # latent level of the best method: 0.8 of the rows right
DRAWN = bootstrap.draws


@dataclass(frozen=True)
class Setting:
    """kind: of score, 0/1 or continuous. truth: "equal", "rising" or "half". seeds: of each method."""

    methods: int
    rows: int
    kind: str
    truth: str
    shared: float = SHARED

    def levels(self) -> Array:
        """Latent level of each method; the first is the untuned one."""
        if self.truth == "equal":
            return np.full(self.methods, EASY)
        if self.truth == "half":
            return np.where(np.arange(self.methods) < self.methods // 2, EASY - 0.6, EASY)
        return np.linspace(EASY - 0.6, EASY, self.methods)

    def qualities(self) -> Array:
        """What each method would score on endlessly many rows."""
        scale = 1.0 if self.kind == "0/1" else math.sqrt(2)
        return np.array([normal(level / scale) for level in self.levels()])

    def board(self, rng: np.random.Generator) -> Array:
        """Scores of one board, (methods, rows)."""
        hard = rng.normal(size=self.rows) * math.sqrt(self.shared)
        own = rng.normal(size=(self.methods, self.rows)) * math.sqrt(1 - self.shared)
        latent = self.levels()[:, None] + hard + own
        return (latent > 0).astype(float) if self.kind == "0/1" else many_normal(latent)


def normal(x: float) -> float:
    """The normal distribution's function."""
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def many_normal(x: Array) -> Array:
    """The same of many numbers, to 3e-7: Abramowitz & Stegun 1964, 7.1.26."""
    z = np.abs(x) / math.sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    return 0.5 * (1 + np.sign(x) * (1 - poly * np.exp(-z * z)))


@dataclass
class Tally:
    """Counts over boards. false: boards with a false claim, by the kind of interval behind it."""

    boards: int = 0
    false: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("together", "percentile", "others"), 0))
    whole: int = 0  # boards on which every simultaneous interval holds the truth
    single: list[float] = field(default_factory=list)  # share of single intervals of a difference that hold it
    percentile: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)  # best score less the true quality of the chosen
    corrected: list[float] = field(default_factory=list)
    held: int = 0  # boards on which the winner's corrected interval holds its true quality
    found: list[float] = field(default_factory=list)  # share of true differences to the best and the untuned claimed


def claims(intervals: Sequence[Sequence[float]]) -> tuple[bool, bool, float]:
    """(a claim is false, all hold the truth, share of true differences that are claimed): of (low, high, truth)."""
    false = any((low > 0 and truth <= 0) or (high < 0 and truth >= 0) for low, high, truth in intervals)
    holds = all(low <= truth <= high for low, high, truth in intervals)
    real = [low > 0 or high < 0 for low, high, truth in intervals if truth]
    return false, holds, sum(real) / len(real) if real else math.nan


def judge(scores: Array, truth: Array, tally: Tally) -> None:
    """Count one board."""
    boot, names = Bootstrap({str(m): [row] for m, row in enumerate(scores)}), list(map(str, range(len(scores))))
    values = scores.mean(1)
    best = int(values.argmax())
    pairs = [(m, best) for m in range(len(scores)) if m != best]
    pairs += [(m, 0) for m in range(1, len(scores)) if best not in (0, m)]
    together = [boot.together(str(a), str(b)) for a, b in pairs]
    low, high = percentiles(boot, pairs)
    ends = {
        "together": [(i.low, i.high) for i in together],
        "percentile": list(zip(low, high, strict=True)),
        "others": others(boot, pairs, best),
    }
    for name, intervals in ends.items():
        found = [(*i, truth[a] - truth[b]) for i, (a, b) in zip(intervals, pairs, strict=False)]
        false, holds, share = claims(found)
        tally.false[name] += false
        if name == "together":
            tally.whole += holds
            tally.found.append(share)
    named = [(a, 0) for a in range(1, min(5, len(scores)))]  # pairs that nothing chose
    low, high = percentiles(boot, named)
    alone = [boot.difference(str(a), "0") for a, _ in named]
    real = [truth[a] - truth[0] for a, _ in named]
    tally.single += [_within(i, t) for i, t in zip(alone, real, strict=True)]
    tally.percentile += [bool(x <= t <= y) for x, y, t in zip(low, high, real, strict=True)]
    tally.score += [_within(boot.score(str(m)), truth[m]) for m in range(min(5, len(scores)))]
    won = boot.winner(names)
    tally.plain.append(values[best] - truth[best])
    tally.corrected.append(won.value - truth[best])
    tally.held += _within(won, truth[best])
    tally.boards += 1


def percentiles(boot: Bootstrap, pairs: Sequence[tuple[int, int]]) -> tuple[Array, Array]:
    """The plain percentile intervals of differences, one by one."""
    apart = np.stack([boot.means[str(a)] - boot.means[str(b)] for a, b in pairs])
    low, high = np.percentile(apart, [2.5, 97.5], axis=1).round(12)
    return low, high


def others(boot: Bootstrap, pairs: Sequence[tuple[int, int]], best: int) -> list[tuple[float, float]]:
    """The intervals against the best of a family of the others against it: as if it had been named before."""
    apart = [(boot._apart(str(a), str(b)), boot._few(str(a), str(b))) for a, b in pairs if b == best]
    wide = float(np.quantile(np.max([np.abs(t) for (_, t, _), _ in apart], axis=0), 0.95))
    return [(value - wide * spread * few, value + wide * spread * few) for (value, _, spread), few in apart]


def _within(found: bootstrap.Interval, truth: float) -> bool:
    return bool(found.low <= truth <= found.high)


@cache
def _kept(rows: int, seed: int) -> list[Array]:
    return list(DRAWN(rows, seed))


def simulate(setting: Setting, boards: int, seed: int = 0) -> Tally:
    """Judge so many boards."""
    rng, tally, truth = np.random.default_rng(seed), Tally(), setting.qualities()
    for _ in range(boards):
        judge(setting.board(rng), truth, tally)
    return tally


def settings(sizes: Sequence[int]) -> Iterator[Setting]:
    """The table's lines."""
    for rows in sizes or (100, 300, 1000):
        for truth in ("equal", "rising", "half"):
            for kind in ("0/1", "continuous"):
                for methods in (5, 10, 20):
                    yield Setting(methods, rows, kind, truth)


def quick(resamples: int = 2000) -> None:
    """Fewer resamples than the product takes, the same for every board."""
    bootstrap.RESAMPLES = resamples
    bootstrap.draws = lambda n, seed: iter(_kept(n, seed))


def main(boards: int = 2000, *sizes: int) -> None:
    """Print the table, a line as soon as it is known; where methods differ half of the boards are enough."""
    quick()
    print("| rows | truth | score | k | false claim | all intervals hold | false claim: single | others against best |"
          " single holds | percentile holds | score holds | differences found | winner too high | corrected |"
          " its interval holds |")  # fmt: skip
    print("|" + "---|" * 15)
    for s in settings(sizes):
        t = simulate(s, boards if s.truth == "equal" else max(1, boards // 2))
        share = {name: 100 * n / t.boards for name, n in t.false.items()}
        held = (100 * np.mean(x) for x in (t.single, t.percentile, t.score))
        found = "–" if s.truth == "equal" else f"{100 * np.mean(t.found):.0f}"
        cells = [s.rows, s.truth, s.kind, s.methods, f"{share['together']:.1f}", f"{100 * t.whole / t.boards:.1f}",
                 f"{share['percentile']:.1f}", f"{share['others']:.1f}", *(f"{x:.1f}" for x in held), found,
                 f"{100 * np.mean(t.plain):+.2f}", f"{100 * np.mean(t.corrected):+.2f}",
                 f"{100 * t.held / t.boards:.1f}"]  # fmt: skip
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
