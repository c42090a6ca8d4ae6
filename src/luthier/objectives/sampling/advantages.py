"""What an answer was worth beyond what was expected, and how far a policy has moved: plain numbers, in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

LEAST = 1e-8  # of a variance
SPREAD = 1e-4  # added to the deviation of a group (Shao et al. 2024 as TRL has it)
Scale = Literal["deviation", "none", "others"]


def per_token(logp: Sequence[float], reference: Sequence[float], beta: float, score: float) -> list[float]:
    """Rewards of an answer's tokens: -β (log π - log π_ref) each, and the answer's own at the last one.

    Source: Ziegler et al. 2019, "Fine-Tuning Language Models from Human Preferences".
    """
    found = [-beta * (a - b) for a, b in zip(logp, reference, strict=True)]
    found[-1] += score
    return found


def generalised(rewards: Sequence[float], values: Sequence[float], gamma: float, lam: float) -> list[float]:
    """Generalised advantages of n tokens. values: (n + 1,), of what stands before each token and behind the last.

    A_t = δ_t + γ λ A_{t+1}, δ_t = r_t + γ V_{t+1} - V_t (Schulman et al. 2016).
    """
    found, after = [0.0] * len(rewards), 0.0
    for t in reversed(range(len(rewards))):
        after = rewards[t] + gamma * values[t + 1] - values[t] + gamma * lam * after
        found[t] = after
    return found


def whitened(rows: Sequence[Sequence[float]]) -> list[list[float]]:
    """All numbers moved and scaled to a mean of 0 and a variance of 1 (unbiased); one alone becomes 0."""
    flat = [value for row in rows for value in row]
    mean = fmean(flat) if flat else 0.0
    variance = sum((value - mean) ** 2 for value in flat) / max(len(flat) - 1, 1)
    scale = 1 / math.sqrt(variance + LEAST)
    return [[(value - mean) * scale for value in row] for row in rows]


def relative(rewards: Sequence[float], scale: Scale) -> list[float]:
    """Advantages of the answers to one prompt over each other.

    deviation: (r - mean) / (deviation + 1e-4), the deviation unbiased (GRPO, Shao et al. 2024); none: r - mean (Liu et
    al. 2025, "Understanding R1-Zero-Like Training"); others: r less the mean of the others (RLOO, Ahmadian et al.
    2024).
    """
    count, mean = len(rewards), fmean(rewards)
    apart = [r - mean for r in rewards]
    if scale == "none":
        return apart
    if scale == "others":
        return [a * count / max(count - 1, 1) for a in apart]
    deviation = math.sqrt(sum(a * a for a in apart) / max(count - 1, 1))
    return [a / (deviation + SPREAD) for a in apart]


def k1(logp: Sequence[float], reference: Sequence[float]) -> float:
    """Σ log π - log π_ref over an answer that π drew: its mean over answers is the KL, of each it may be negative."""
    return math.fsum(a - b for a, b in zip(logp, reference, strict=True))


def k3(logp: Sequence[float], reference: Sequence[float]) -> float:
    """Σ exp(q) - q - 1, q = log π_ref - log π: never negative, and varies less (Schulman 2020, "Approximating KL")."""
    return math.fsum(math.exp(b - a) - (b - a) - 1 for a, b in zip(logp, reference, strict=True))


def explained(returns: Sequence[float], values: Sequence[float]) -> float:
    """Share of the returns' variance that the values foresee; 1 at best, 0 for a constant, nothing to foresee too."""
    mean = fmean(returns)
    whole = math.fsum((r - mean) ** 2 for r in returns)
    off = [r - v for r, v in zip(returns, values, strict=True)]
    rest = math.fsum((o - fmean(off)) ** 2 for o in off)
    return 1 - rest / whole if whole > LEAST else 0.0
