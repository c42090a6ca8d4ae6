"""How a run that learns from rewards went, in sentences: what its numbers by rollout say is wrong.

An audit and no oracle: each sentence names what was seen and what it may lead to; none proves a fault.
Sources: Huang et al. 2024, "The N+ Implementation Details of RLHF with PPO"; Gao et al. 2023, "Scaling Laws for Reward
Model Overoptimization".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from luthier.core.phrases import Phrase, say

Told = Mapping[str, Any]
FEW = 4  # rollouts, below which nothing is said of a trend
OFF = 0.02  # of the ratio at a rollout's first step, which is 1
MOVED = 1e-3  # nats a token between what drew and what trains, at that step: 0
CLIPPED = 0.3  # share of tokens beyond the clip
FAR = 25.0  # nats an answer from the reference
BELOW = -0.5  # nats an answer: an estimate of a KL that low is none
COLLAPSED = 0.3  # of the entropy that it began with
DRIFTED = 0.5  # share by which the length of answers has changed
ALIKE = 0.5  # share of answers with the same beginning


def by_rollout(lines: Iterable[Told]) -> list[Told]:
    """The first step's line of each rollout, with the share of clipped tokens of its worst step."""
    found: dict[int, dict[str, Any]] = {}
    for line in lines:
        if "rollout" not in line:
            continue
        kept = found.setdefault(int(line["rollout"]), dict(line))
        kept["clipped"] = max(kept.get("clipped") or 0.0, line.get("clipped") or 0.0)
    return list(found.values())


def health(rollouts: Sequence[Told]) -> list[Phrase]:
    """What should be looked at, of the rollouts of a run in their order."""
    if not rollouts:
        return []
    return [*_at_once(rollouts), *(_trends(rollouts) if len(rollouts) >= FEW else ())]


def _at_once(rollouts: Sequence[Told]) -> Iterable[Phrase]:
    ratio = max((_of(r, "ratio", 1.0) for r in rollouts), key=lambda x: abs(x - 1))
    moved = max(_of(r, "moved", 0.0) for r in rollouts)  # ratios above and below 1 have a mean of 1
    if abs(ratio - 1) > OFF or moved > MOVED:
        yield say("health_ratio", ratio=f"{ratio:.3f}", moved=f"{moved:.4f}")
    kl = _mean(rollouts[-FEW:], "kl")
    if kl < BELOW:
        yield say("health_kl_negative", kl=f"{kl:.2f}")
    if kl > FAR:
        yield say("health_kl_far", kl=f"{kl:.1f}")
    if all(_of(r, "reward_deviation", 1.0) == 0 for r in rollouts[-FEW:]):
        yield say("health_reward_constant", rollouts=len(rollouts[-FEW:]))
    clipped = _mean(rollouts[-FEW:], "clipped")
    if clipped > CLIPPED:
        yield say("health_clipped", share=f"{100 * clipped:.0f}")
    opening = _mean(rollouts[-FEW:], "opening")
    if opening > ALIKE and opening > 1.5 * _of(rollouts[0], "opening"):
        yield say("health_opening", share=f"{100 * opening:.0f}")
    if all(_of(r, "beta", 1.0) == 0 for r in rollouts):
        yield say("health_beta")


def _trends(rollouts: Sequence[Told]) -> Iterable[Phrase]:
    part = max(len(rollouts) // 4, 1)
    first, last = rollouts[:part], rollouts[-part:]
    entropy = _mean(first, "entropy"), _mean(last, "entropy")
    if entropy[0] > 0 and entropy[1] < COLLAPSED * entropy[0]:
        yield say("health_entropy", before=f"{entropy[0]:.2f}", after=f"{entropy[1]:.2f}")
    length = _mean(first, "length"), _mean(last, "length")
    if length[0] and abs(length[1] / length[0] - 1) > DRIFTED:
        yield say("health_length", before=f"{length[0]:.0f}", after=f"{length[1]:.0f}")
    ended = _mean(first, "ended"), _mean(last, "ended")
    if ended[0] > 0.2 and ended[1] < ended[0] / 2:
        yield say("health_ended", before=f"{100 * ended[0]:.0f}", after=f"{100 * ended[1]:.0f}")
    half = len(rollouts) // 2
    before, after = ([_of(r, "reward") for r in some] for some in (rollouts[:half], rollouts[-half:]))
    gain = fmean(after) - fmean(before)
    error = math.sqrt((stdev(before) ** 2 + stdev(after) ** 2) / half) if half > 1 else math.inf
    if not gain > 2 * error:
        yield say("health_no_gain", gain=f"{gain:+.3g}", error=f"{error:.2g}")


def _of(rollout: Told, name: str, otherwise: float = 0.0) -> float:
    value = rollout.get(name)
    return otherwise if value is None else float(value)


def _mean(rollouts: Sequence[Told], name: str) -> float:
    return fmean(_of(r, name) for r in rollouts)
