"""What the report's charts show, as plain numbers and sentences; the page's script turns them into Plotly figures.

Colours, sizes and the placing of labels depend on the reader's screen and are left to the script. What is said about
the data (scale, Pareto front, smoothing, the sentence for readers who do not see the chart) is decided here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from luthier.core.phrases import Phrase, say
from luthier.evals import formatting
from luthier.evals.formatting import Row

ALIKE = 0.1  # two costs that differ by less count as equal
CURVE_POINTS = 240  # per seed and line: more than a panel has pixels to show


@dataclass(frozen=True)
class Cost:
    """A price of a method that quality is drawn against. Values under `floor` stand at the axis' place for zero."""

    key: str
    show: Callable[[float], str]
    floor: float
    round_values: tuple[float, ...] = ()  # where to put ticks if not at powers of ten

    @property
    def title(self) -> Phrase:
        """What the chart is called."""
        return say(f"cost_{self.key}")

    @property
    def axis(self) -> Phrase:
        """What the axis is called."""
        return say(f"axis_{self.key}")


# A clock does not count in tens: 1 m reads better than 1 m 40 s.
CLOCK = (0.1, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 18_000, 36_000, 86_400, 172_800, 432_000)

COSTS = (
    Cost("trainable", formatting.count, 1),
    Cost("artifact_bytes", formatting.size, 1),
    Cost("train_seconds", formatting.duration, 0.1, CLOCK),
)

KL = Cost("kl", lambda nats: f"{nats:.3g}", 0.01)


def costs_of(board: Mapping[str, Any]) -> tuple[Cost, ...]:
    """What quality is drawn against: the distance from the untuned model, too, where it was measured."""
    return (KL, *COSTS) if any(known_pair(row, KL) for row in formatting.finished(board)) else COSTS


def pareto(points: Iterable[tuple[str, float, float]]) -> list[str]:
    """The names of the `(name, cost, score)` that no other beats at the same or a lower cost, cheapest first."""
    front: list[str] = []
    highest = -math.inf
    for name, _, score in sorted(points, key=lambda point: (point[1], -point[2])):
        if score > highest:
            front.append(name)
            highest = score
    return front


def clear_front(points: Iterable[tuple[str, float, float]], clear: Collection[tuple[str, str]]) -> list[str]:
    """The names of those that are clearly better than all that is clearly cheaper, and not clearly beaten by what costs
    as much; cheapest first. points: (name, cost, score). clear: pairs of which the first is surely the better one.

    A front through the points themselves rests on noise: a row that is 0.3 points ahead, or 2 s quicker, is on it.
    """
    known = sorted(points, key=lambda point: (point[1], -point[2]))

    def holds(name: str, cost: float) -> bool:
        for other, price, _ in known:
            if other == name:
                continue
            cheaper = price < (1 - ALIKE) * cost
            if cheaper and (name, other) not in clear:
                return False
            if price <= cost * (1 + ALIKE) and (other, name) in clear:
                return False
        return True

    return [name for name, cost, _ in known if holds(name, cost)]


def ticks(low: float, high: float, round_values: Sequence[float] = ()) -> list[float]:
    """Round values from `low` to `high` for a logarithmic axis: 1-2-5 on a short one, decades on a long one."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if math.log10(high / low) < 1.6 else (1,)
    values = round_values or [step * 10.0**decade for decade in range(first, last + 1) for step in steps]
    return [value for value in values if low <= value * 1.0001 and value <= high * 1.0001]


def y_range(points: Sequence[Mapping[str, Any]]) -> list[float]:
    """The ends of a vertical axis around all points and their intervals (keys y, lo, hi)."""
    low = min(point["y"] if point["lo"] is None else point["lo"] for point in points)
    high = max(point["y"] if point["hi"] is None else point["hi"] for point in points)
    # Never fewer than ten points from edge to edge: a closer view would make noise look like a difference.
    pad = max((high - low) * 0.08, (10 - (high - low)) / 2, 1.0)
    return [max(low - pad, -2.0), min(high + pad, 103.0)]


def _place(points: list[dict[str, Any]], cost: Cost) -> dict[str, Any]:
    """Put the points on a logarithmic axis with a place for zero at its left; returns the axis."""
    paid = [point["cost"] for point in points if point["cost"] >= cost.floor]
    free = [point for point in points if point["cost"] < cost.floor]
    low, high = (math.log10(min(paid)), math.log10(max(paid))) if paid else (0.0, 0.0)
    span = max(high - low, 0.7)
    middle = (low + high) / 2
    left, right = min(low, middle - span / 2) - 0.07 * span, max(high, middle + span / 2) + 0.07 * span
    for point in points:
        point["x"] = math.log10(max(point["cost"], cost.floor))
    values = ticks(10**left, 10**right, cost.round_values) if paid else []
    shown = [(math.log10(value), cost.show(value)) for value in values]
    zero: list[float] | None = None
    if free:
        # Points that cost nothing share one place: they stand side by side in it, so that their intervals can be read.
        band = span * (0.1 + 0.05 * min(len(free), 5)) if paid else span
        zero = [left - band, left]
        for index, point in enumerate(sorted(free, key=lambda point: (point["cost"], point["y"]))):
            point["x"] = left - band + band * (index + 1) / (len(free) + 1)
        exact = all(point["cost"] == 0 for point in free)
        shown.insert(0, (left - band / 2, "0" if exact else f"< {cost.floor:g} s" if cost.floor < 1 else "≈ 0"))
        left -= band
    return {"range": [left, right], "ticks": shown, "zero": zero, "title": cost.axis}


def scatter(board: Mapping[str, Any], cost: Cost, clear: Collection[tuple[str, str]] | None = None) -> dict[str, Any]:
    """Quality against one cost: `points`, the axes, the Pareto `front`, and a `summary` sentence. No points: empty.

    clear: pairs of rows of which the first is surely better (None: not known, the front goes through the points).
    """
    metric = str(board["metric"])
    rows = [row for row in formatting.finished(board) if known_pair(row, cost)]
    missing = [formatting.name(row) for row in formatting.finished(board) if not known_pair(row, cost)]
    placed = [(formatting.name(row), float(row[cost.key]), float(row["score"])) for row in rows]
    front = pareto(placed) if clear is None else clear_front(placed, clear)
    points = []
    for row in rows:
        low, high = formatting.bounds(row, metric) or (None, None)
        points.append(
            {
                "name": formatting.name(row),
                "cost": float(row[cost.key]),
                "y": row["score"] * formatting.scale(metric),
                "lo": low,
                "hi": high,
                "best": formatting.name(row) == board.get("best"),
                "front": formatting.name(row) in front,
                "says": [
                    _score_words(row, metric),
                    say("says_cost", cost=cost.axis, value=cost.show(float(row[cost.key]))),
                ],
            }
        )
    if not points:
        return {"points": [], "title": cost.title, "summary": [say("nothing_drawn")]}
    axis = _place(points, cost)
    by_name = {point["name"]: point for point in points}
    return {
        "kind": "scatter",
        "title": cost.title,
        "points": points,
        "x": axis,
        "y": {"range": y_range(points), "title": formatting.metric(metric)},
        "front": [[by_name[name]["x"], by_name[name]["y"]] for name in front],
        "summary": _scatter_summary(by_name, front, cost, missing, clear is not None),
    }


def known_pair(row: Row, cost: Cost) -> bool:
    """True where the row has a score and a cost to draw it at."""
    return formatting.known(row.get("score")) and formatting.known(row.get(cost.key)) and row[cost.key] >= 0


def _score_words(row: Row, metric: str) -> Phrase:
    values: dict[str, object] = {"metric": formatting.metric(metric), "score": formatting.score(row["score"], metric)}
    if not formatting.bounds(row, metric):
        return Phrase("says_score", values)
    return Phrase("says_interval", {**values, "interval": formatting.interval_text(row, metric)})


def _scatter_summary(
    points: Mapping[str, Mapping[str, Any]], front: Sequence[str], cost: Cost, missing: Sequence[str],
    tested: bool,
) -> list[Phrase]:  # fmt: skip
    steps = [
        say("step", name=name, score=f"{points[name]['y']:.1f}", cost=cost.show(points[name]["cost"])) for name in front
    ]
    found = [say("front", steps=steps), *([say("front_clear")] if tested else [])]
    if behind := [name for name in points if name not in front]:
        found.append(say("behind", names=behind))
    if missing:
        found.append(say("not_drawn", names=missing))
    return found


def smooth(values: Sequence[float]) -> list[float]:
    """A line fitted around each point over about a fifteenth of the curve: light, and with no delay.

    In the middle that is the running mean; at the ends, where a mean would flatten the curve, it follows the slope.
    """
    width = min(len(values), 2 * max(1, len(values) // 30) + 1)
    out = []
    for index in range(len(values)):
        first = min(max(0, index - width // 2), len(values) - width)
        last = first + width - 1
        window = values[first : last + 1]
        middle, mean = (first + last) / 2, math.fsum(window) / len(window)
        spread = sum((i - middle) ** 2 for i in range(first, last + 1))
        slope = sum((i - middle) * values[i] for i in range(first, last + 1)) / spread if spread else 0.0
        out.append(mean + slope * (index - middle))
    return out


def curve(method: str, records: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """One method's training loss by token: for each seed the raw and the smoothed line. None without usable points."""
    seeds: dict[int, list[tuple[float, float]]] = {}
    for record in records:
        if formatting.known(record.get("tokens")) and formatting.known(record.get("loss")):
            seeds.setdefault(int(record.get("seed", 0)), []).append((float(record["tokens"]), float(record["loss"])))
    if not seeds:
        return None
    lines: list[dict[str, Any]] = []
    starts, ends = [], []
    for seed, pairs in sorted(seeds.items()):
        pairs.sort()
        smoothed = smooth([loss for _, loss in pairs])
        keep = range(0, len(pairs), max(1, math.ceil(len(pairs) / CURVE_POINTS)))
        chosen = sorted({*keep, len(pairs) - 1})
        lines.append(
            {
                "seed": seed,
                "x": [pairs[i][0] for i in chosen],
                "raw": [_short(pairs[i][1]) for i in chosen],
                "smooth": [_short(smoothed[i]) for i in chosen],
            }
        )
        # A tenth of the run at each end: one noisy step must not decide what the sentence says.
        tenth = max(1, len(pairs) // 10)
        starts.append(sum(loss for _, loss in pairs[:tenth]) / tenth)
        ends.append(sum(loss for _, loss in pairs[-tenth:]) / tenth)
    last = max(line["x"][-1] for line in lines)
    first, final = sum(starts) / len(starts), sum(ends) / len(ends)
    values = {"first": f"{first:.2f}", "last": f"{final:.2f}", "tokens": formatting.count(last), "n": len(lines)}
    summary = [Phrase("curve_one" if len(lines) == 1 else "curve_many", values)]
    return {"kind": "curve", "title": method, "lines": lines, "last": last, "summary": summary}


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def learning_curves(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """A panel for every method that has a curve, in the given order, all with the same token axis."""
    panels = [panel for method, records in curves.items() if (panel := curve(method, records))]
    last = max((panel["last"] for panel in panels), default=0.0)
    for panel in panels:
        panel["last"] = last
    return panels
