"""Which learning rate of a search is taken, and whether one beyond its range is looked at.

The loss decides, since it sees progress long before the answers change. But it misleads where labels are judged and a
short run has collapsed: a model that has begun to memorise is sure of itself, and its few mistakes cost more than even
odds on everything. So a rate is out when another one has clearly more rows right: by more than two standard errors of
the difference, row by row.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from luthier.core.phrases import say

JUDGED = 64  # validation rows that judge a rate, at most
FEW = 8  # steps of a short run: fewer say little of a rate
ENOUGH = 16  # and fewer than these nothing of one above the range
CLEAR = 0.05  # of the best loss within a range: what lies beyond must be so much lower


@dataclass(frozen=True)
class Tried:
    """A short run. loss: of the validation rows, nats; not finite where it diverged.

    per_row: their scores by the task's metric, where they count. steps: how many it took; 0 where that is unknown.
    """

    rate: float
    loss: float
    per_row: tuple[float, ...] = ()
    steps: int = 0


def chosen(tried: Sequence[Tried]) -> float:
    """The rate to go on with: the lowest loss among those that are not clearly worse than the one with most rows right.

    Scores are of the same rows in the same order; without them the loss alone decides.
    """
    tried = [t for t in tried if math.isfinite(t.loss)] or tried  # a run that left the finite numbers is out
    if all(t.per_row for t in tried):
        best = max(tried, key=lambda t: statistics.fmean(t.per_row))
        tried = [t for t in tried if not _clearly_worse(t, best)]
    return min(tried, key=lambda t: t.loss).rate


def beyond(tried: Sequence[Tried]) -> float | None:
    """A rate to try, too, where the lowest or the highest was the best: as far out as its neighbour is inside.

    Ranges are short, and what suits a few steps is too much for many: 8 of 12 methods took the lowest of their three
    rates when a run was long (docs/LOG.md). None where the best has a neighbour on both sides, and above the highest
    where the runs were short: what is best after nine steps may be too much for the thirty-sixth.
    """
    rates = sorted(t.rate for t in tried)
    best = chosen(tried)
    if best == rates[-1] and 0 < max(t.steps for t in tried) < ENOUGH:
        return None
    inner = {rates[-1]: rates[-2], rates[0]: rates[1]} if len(rates) > 1 else {}
    return float(f"{best * best / inner[best]:.2g}") if best in inner else None


def settled(tried: Sequence[Tried], more: Sequence[Tried]) -> float:
    """The rate to go on with: of the range, or what was looked at beyond it, if that is better by more than a shade.

    On SST-2 LLaMA-Adapter at 3.3e-3 was 0.004 nats ahead of 1e-2 after a quarter of the tokens; with all of them it was
    8 points of accuracy behind. Where rows are scored, it must not have fewer right either: LoRA at 9e-3 on 12 labels
    had the lower loss and 12 of 64 rows right instead of 19 after nine steps, and diverged at its seventeenth
    (docs/LOG.md).
    """
    rate = chosen(tried)
    best = next(t for t in tried if t.rate == rate)
    ahead = CLEAR * abs(best.loss)  # a loss may be below 0: of rewards it is
    better = [t for t in more if best.loss - t.loss > ahead and _right(t) >= _right(best)]
    return chosen([best, *better])


def lower(tried: Sequence[Tried], rate: float) -> float | None:
    """The next lower rate that was tried and stayed finite: what a run that went wrong gives way to."""
    return max((t.rate for t in tried if t.rate < rate and math.isfinite(t.loss)), default=None)


def went_wrong(whole: Tried, short: Tried) -> bool:
    """Whether a whole run ended above the loss of its own short run, with no more rows right.

    What is best after ten steps may be too much for forty: LoRA on SST-2 with 3e-3 was ahead of all after its short run
    and ended below the untuned model. A higher loss alone is no fault: whoever memorises is surer of his mistakes, and
    may have more rows right.
    """
    return not whole.loss <= short.loss and _right(whole) <= _right(short)


def doubts(tried: Sequence[Tried], nothing: Mapping[str, Sequence[float]]) -> list[str]:
    """What makes a choice of little worth, in sentences: few steps, and rows right that cost no training.

    nothing: scores of the same rows by what has learned nothing, by the text that says so of it; told where rows are
    right or wrong.
    """
    found: list[str] = []
    if (steps := max((t.steps for t in tried), default=0)) and steps < FEW:
        found.append(say("said_rate_step") if steps == 1 else say("said_rate_steps", steps=steps))
    rows = [t.per_row for t in tried if t.per_row]
    if rows and nothing and all(score in (0, 1) for each in (*rows, *nothing.values()) for score in each):
        key = max(nothing, key=lambda n: statistics.fmean(nothing[n]))
        share = statistics.fmean(nothing[key])
        if max(map(statistics.fmean, rows)) <= share:
            found.append(say(key, rows=len(rows[0]), share=f"{100 * share:.0f}"))
    return found


def _right(tried: Tried) -> float:
    return statistics.fmean(tried.per_row) if tried.per_row else 0.0


def _clearly_worse(tried: Tried, best: Tried) -> bool:
    lost = [b - a for a, b in zip(tried.per_row, best.per_row, strict=True)]
    return statistics.fmean(lost) > 2 * statistics.pstdev(lost) / math.sqrt(len(lost))
