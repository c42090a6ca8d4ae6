"""A line chart as SVG text: no script, readable in print, coloured by the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from luthier.core.phrases import Phrase

STYLE = Path(__file__).parent / "assets" / "chart.css"
WIDTH, HEIGHT = 760, 340
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 20, 56


@dataclass(frozen=True)
class Line:
    """points: (x, y) or (x, y, low, high). kind: "main" and "other" stand out and are named; "" is one of many."""

    name: Phrase
    points: Sequence[tuple[float, ...]]
    kind: str = ""


def chart(
    lines: Sequence[Line], x_title: Phrase, y_title: Phrase, ticks: Sequence[tuple[float, str]], said: str
) -> str:
    """The chart. ticks: of the horizontal axis. said: for readers who do not see it."""
    xs = [p[0] for line in lines for p in line.points] or [0.0]
    ys = [v for line in lines for p in line.points for v in p[1:]] or [0.0]
    low, high = min(ys), max(ys)
    pad = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    # a score that is never below nothing, or a log-probability, never above, has no axis beyond
    low, high = (max(low - pad, 0.0) if low >= 0 else low - pad), (min(high + pad, 0.0) if high <= 0 else high + pad)
    high = high if high > low else low + 1.0
    x0, x1 = min(xs), max(xs)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((value - x0) / (x1 - x0) if x1 > x0 else 0.5)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)

    parts = [_axes(x, y, low, high, ticks, x_title, y_title)]
    parts += [_line(line, x, y) for line in sorted(lines, key=lambda one: one.kind == "main")]
    named = sorted((line for line in lines if line.kind and line.points), key=lambda one: one.points[-1][1])
    last = float("inf")
    for line in named:  # names beside the last points, moved up where they would lie on each other
        at = min(y(line.points[-1][1]) + 4, last - 15)
        last = at
        parts.append(line.name.html("text", f' class="{line.kind}" x="{WIDTH - RIGHT + 10}" y="{at:.1f}"'))
    label = f'aria-label="{escape(said)}"'
    head = f'<svg class="chart" role="img" {label} viewBox="0 0 {WIDTH} {HEIGHT}"><title>{escape(said)}</title>'
    return f"{head}{''.join(parts)}</svg>"


def _axes(x, y, low, high, ticks, x_title, y_title) -> str:  # type: ignore[no-untyped-def]
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    out = [f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>']
    for at, text in ticks:
        out.append(f'<text x="{x(at):.1f}" y="{bottom + 18}" text-anchor="middle">{escape(text)}</text>')
    values = _round_values(low, high)
    step = values[1] - values[0] if len(values) > 1 else 1.0
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    for value in values:
        out.append(f'<path class="axis" d="M{LEFT} {y(value):.1f}H{right}" opacity=".5"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value + 0.0:.{places}f}</text>')
    out.append(x_title.html("text", f' x="{(LEFT + right) / 2}" y="{HEIGHT - 12}" text-anchor="middle"'))
    middle = (TOP + bottom) / 2
    out.append(y_title.html("text", f' x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})"'))
    return "".join(out)


def _round_values(low: float, high: float) -> list[float]:
    """Three to seven values to read between two numbers, each a multiple of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * f for f in (1, 2, 5, 10) if power * f >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def _line(line: Line, x, y) -> str:  # type: ignore[no-untyped-def]
    if not line.points:
        return ""
    way = "L".join(f"{x(p[0]):.1f} {y(p[1]):.1f}" for p in line.points)
    out = [f'<path class="line {line.kind}" d="M{way}"/>']
    for p in line.points:
        if len(p) == 4:  # beside the point where another line may have one at the same place
            across = x(p[0]) + (5 if line.kind == "other" else 0)
            out.append(f'<path class="line {line.kind}" d="M{across:.1f} {y(p[2]):.1f}V{y(p[3]):.1f}"/>')
        note = f"{line.name}: {p[1]:.4g}" + (f" ({p[2]:.4g} to {p[3]:.4g})" if len(p) == 4 else "")
        out.append(
            f'<circle class="dot {line.kind}" cx="{x(p[0]):.1f}" cy="{y(p[1]):.1f}" r="{4 if line.kind else 3}">'
            f"<title>{escape(note)}</title></circle>"
        )
    return "".join(out)
