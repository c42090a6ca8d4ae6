"""A line with its points as SVG: what a benchmark drew, readable without a program."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

WIDE, HIGH, LEFT, BOTTOM, TOP = 360, 260, 64, 44, 34


def panel(title: str, across: str, points: Mapping[int, float], log: bool) -> str:
    """One chart of seconds; log: both axes in powers, where a straight line of slope 1 (dashed) is linear growth."""
    place = math.log2 if log else float
    xs, ys = [place(x) for x in points], [place(y) for y in points.values()]
    low_y, high_y = (min(ys), max(ys)) if log else (0.0, max(ys))
    low_x, high_x = min(xs), max(xs)

    def at(x: float, y: float) -> tuple[float, float]:
        right = LEFT + (x - low_x) / max(high_x - low_x, 1e-9) * (WIDE - LEFT - 24)
        return right, HIGH - BOTTOM - (y - low_y) / max(high_y - low_y, 1e-9) * (HIGH - BOTTOM - TOP)

    drawn = [at(x, y) for x, y in zip(xs, ys, strict=True)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
    parts = [
        f'<text x="{LEFT}" y="18" font-weight="bold">{escape(title)}</text>',
        f'<text x="{LEFT}" y="{HIGH - 8}">{escape(across)}</text>',
        f'<polyline points="{path}" fill="none" stroke="#2563eb" stroke-width="2"/>',
    ]
    if log:
        (x, y), end = drawn[0], min(high_x, low_x + high_y - low_y)
        x2, y2 = at(end, low_y + end - low_x)
        parts.append(f'<path d="M{x:.1f} {y:.1f}L{x2:.1f} {y2:.1f}" stroke="#888" stroke-dasharray="4 4"/>')
    free_x, free_y = -math.inf, math.inf  # a label is left out where it would lie on the one before
    for (x, y), (key, value) in zip(drawn, points.items(), strict=True):
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#2563eb"><title>{key:g}: {value:.3f} s</title></circle>'
        )
        if x > free_x:
            parts.append(f'<text x="{x:.1f}" y="{HIGH - 26}" text-anchor="middle">{key:g}</text>')
            free_x = x + 14
        if y < free_y:
            parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.2f} s</text>')
            free_y = y - 12
    return "\n".join(parts)


def svg(panels: list[str]) -> str:
    """The panels side by side."""
    inside = "\n".join(f'<g transform="translate({i * WIDE} 0)">{p}</g>' for i, p in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE * len(panels)} {HIGH}" font-family="sans-serif" '
        f'font-size="11"><rect width="100%" height="100%" fill="white"/>\n{inside}\n</svg>\n'
    )
