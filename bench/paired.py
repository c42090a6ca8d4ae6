"""Differences between ways of doing something, pair by pair of seeds, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import mean, stdev

from scipy.stats import t

Interval = tuple[float, float, float]  # mean, low, high


def against(scores: Mapping[str, Sequence[float]], base: str) -> dict[str, Interval]:
    """How much more each is than the base, by 95 % of Student's t over the pairs; empty with fewer than two pairs."""
    pairs = len(scores[base])
    if pairs < 2:
        return {}
    out = {}
    for name in (name for name in scores if name != base):
        more = [one - other for one, other in zip(scores[name], scores[base], strict=True)]
        half = float(t.ppf(0.975, pairs - 1)) * stdev(more) / sqrt(pairs)
        out[name] = (mean(more), mean(more) - half, mean(more) + half)
    return out


def said(found: Interval | None, base: str) -> str:
    """The difference in words; "" for the base itself."""
    if found is None:
        return ""
    told = "" if found[1] > 0 or found[2] < 0 else ", not distinguishable"
    return f", {found[0]:+.4f} ({found[1]:+.4f} to {found[2]:+.4f}) than {base}{told}"
