"""Training until a given quality: looks at validation rows along the way, and when a falling curve reaches a level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from luthier.evals.bootstrap import Interval
from luthier.study.experiment import Measured, OnModel
from luthier.training.early_stopping import Callback

if TYPE_CHECKING:
    from luthier.core.example import Example
    from luthier.core.progress import Report
    from luthier.training.loop import Loop

Array = np.ndarray[Any, Any]
RESAMPLES = 2000


class Looks(Callback):
    """Writes down the loss of each validation row now and then: at the start, `count` times, and at the end."""

    def __init__(self, examples: Sequence[Example], count: int) -> None:
        self.examples, self.count = examples, count
        self.seen: list[tuple[int, float, list[float]]] = []  # step, share of the budget, loss of each row

    def look(self, loop: Loop, progress: float) -> None:
        """Take the losses now."""
        self.seen.append((loop.done.steps, progress, [loop.evaluate([e]) for e in self.examples]))

    def after_step(self, loop: Loop, report: Report) -> None:
        if int(report.progress * self.count) > int(self.seen[-1][1] * self.count):
            self.look(loop, report.progress)

    def finish(self, loop: Loop) -> None:
        if self.seen[-1][0] < loop.done.steps:
            self.look(loop, loop.share)


def crossing(shares: Array, curve: Array, level: Array) -> Array:
    """Where falling curves first reach a level, by a straight line between looks; infinite where they never do.

    shares: (L,) of the budget. curve: (R, L) losses. level: (R,). Gives (R,).
    """
    below = curve <= level[:, None]
    at = below.argmax(1)
    line = np.arange(len(curve))
    left = np.maximum(at - 1, 0)
    high, low = curve[line, left], curve[line, at]
    part = np.where(at > 0, (high - level) / np.maximum(high - low, 1e-12), 0.0)
    found = shares[left] + (shares[at] - shares[left]) * part
    return np.asarray(np.where(below.any(1), found, np.inf))


def resampled(runs: Sequence[Measured], seed: int = 0) -> tuple[Array, Array, Array]:
    """Shares of the budget (L,), the mean curve (L,), and curves over resampled rows and seeds (RESAMPLES, L).

    The same rows and seeds are drawn for every arm of as many: differences are paired.
    """
    looks = min(len(run["looks"]) for run in runs)
    losses = np.asarray([[look[2] for look in run["looks"][:looks]] for run in runs])  # (S, L, N)
    shares = np.mean([[look[1] for look in run["looks"][:looks]] for run in runs], axis=0)
    rng = np.random.default_rng([seed, losses.shape[0], losses.shape[2]])
    rows = rng.multinomial(losses.shape[2], np.full(losses.shape[2], 1 / losses.shape[2]), size=RESAMPLES)
    seeds = rng.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), size=RESAMPLES)
    drawn = np.einsum("rs,sln,rn->rl", seeds / len(runs), losses, rows / losses.shape[2])
    return np.asarray(shares), losses.mean((0, 2)), drawn


def times(on: OnModel, reference: str) -> tuple[dict[str, Interval], dict[str, Array]]:
    """Training of each arm until the reference's last loss, as a share of the reference's own, and what was resampled.

    Nothing where the reference's own loss did not come down.
    """
    shares, mean, drawn = resampled(on.runs[reference])
    own, own_drawn = crossing(shares, mean[None], mean[-1:])[0], crossing(shares, drawn, drawn[:, -1])
    found: dict[str, Interval] = {}
    kept: dict[str, Array] = {}
    for name, runs in on.runs.items() if own > 0 else ():
        at, curve, many = resampled(runs)
        reached = crossing(at, many, drawn[:, -1])
        kept[name] = np.where(own_drawn > 0, reached / np.maximum(own_drawn, 1e-9), np.inf)
        low, high = np.sort(kept[name])[[int(0.025 * RESAMPLES), int(0.975 * RESAMPLES)]]
        found[name] = Interval(float(crossing(at, curve[None], mean[-1:])[0] / own), float(low), float(high))
    return found, kept
