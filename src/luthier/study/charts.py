"""Lines for the page's `rows` chart: what runs along x, with or without whiskers, on plain or logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from luthier.core.phrases import Phrase


def line(
    name: str | Phrase,
    x: Sequence[float],
    y: Sequence[float],
    says: Sequence[Phrase | str],
    low: Sequence[float] | None = None,
    high: Sequence[float] | None = None,
) -> dict[str, Any]:
    """One line. low, high: ends of the intervals."""
    made: dict[str, Any] = {"name": name, "x": list(x), "y": list(y), "says": list(says)}
    if low is not None and high is not None:
        made |= {
            "lo": [a - b for a, b in zip(y, low, strict=True)],
            "hi": [b - a for a, b in zip(y, high, strict=True)],
        }
    return made


def lines(
    title: Phrase,
    drawn: Sequence[Mapping[str, Any]],
    x: Phrase,
    y: Phrase,
    summary: Sequence[Phrase],
    *,
    log_x: bool = False,
    ticks: Sequence[float] | None = None,
    marks: bool = True,
) -> dict[str, Any]:
    """A chart of lines over a plain x axis, or one in doublings (`log_x`, positive values only)."""
    xs = sorted({v for one in drawn for v in one["x"]})
    ys = [
        v
        for one in drawn
        for i, m in enumerate(one["y"])
        for v in (m - one["lo"][i] if "lo" in one else m, m + one["hi"][i] if "hi" in one else m)
    ]
    low, high = (math.log10(xs[0]), math.log10(xs[-1])) if log_x else (xs[0], xs[-1])
    pad, y_pad = 0.04 * max(high - low, 1e-9 if not log_x else 0.3), 0.06 * max(max(ys) - min(ys), 1e-6)
    shown = list(ticks) if ticks is not None else xs if len(xs) <= 12 else _even(xs)
    return {
        "kind": "rows",
        "title": title,
        "points": drawn,
        "lines": list(drawn),
        "summary": list(summary),
        "marks": marks,
        "x": {
            "title": x,
            "ticks": shown,
            "texts": [f"{t:g}" for t in shown],
            "range": [low - pad, high + pad],
            "type": "log" if log_x else "linear",
        },
        "y": {"title": y, "range": [min(ys) - y_pad, max(ys) + y_pad]},
    }


def _even(xs: Sequence[float]) -> list[float]:
    """Five or so round values over a plain axis."""
    span = xs[-1] - xs[0]
    step = 10.0 ** math.floor(math.log10(span / 4))
    step *= next(k for k in (1, 2, 5, 10) if span / (step * k) <= 6)
    first = math.ceil(xs[0] / step)
    return [step * i for i in range(first, int(xs[-1] / step) + 1)]


def with_zero(values: Sequence[float]) -> tuple[list[float], list[float], list[str]]:
    """Values on a logarithmic axis that has a place for exactly zero: heights, ticks and their texts."""
    paid = [v for v in values if v > 0]
    low, high = (math.floor(math.log10(min(paid))), math.ceil(math.log10(max(paid)))) if paid else (-1, 0)
    every = max(1, math.ceil((high - low) / 6))
    ticks = [float(d) for d in range(low, high + 1, every)]
    texts = [f"{10.0**d:g}" for d in ticks]
    place = float(low - 1)
    heights = [math.log10(v) if v > 0 else place for v in values]
    if len(paid) < len(values):
        return heights, [place, *ticks], ["0", *texts]
    return heights, ticks, texts
