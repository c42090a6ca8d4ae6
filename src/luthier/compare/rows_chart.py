"""The report's part on training rows: quality by their number, drawn, in words, and as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from luthier.compare import charts, units
from luthier.compare.leaderboard_html import escape


def chart(board: Mapping[str, Any]) -> dict[str, Any] | None:
    """The lines of every method by number of training rows, or None where no curve was asked for."""
    curve, metric = board.get("curve"), str(board["metric"])
    drawn = [e for e in (curve or {}).get("methods", ()) if e["points"]]
    if not curve or not drawn:
        return None
    lines = [_line(entry, metric) for entry in drawn]
    sizes = curve["sizes"]
    spread = [
        {"y": y, "lo": y - a, "hi": y + b} for e in lines for y, a, b in zip(e["y"], e["lo"], e["hi"], strict=True)
    ]
    low, high = math.log10(min(sizes)), math.log10(max(sizes))
    pad = 0.06 * max(high - low, 0.3)
    return {
        "kind": "rows",
        "title": "Quality by number of training rows",
        "points": spread,
        "lines": lines,
        "x": {"title": "training rows", "ticks": sizes, "range": [low - pad, high + pad]},
        "y": {"title": charts.metric_title(metric), "range": charts.y_range(spread)},
        "summary": " ".join(e["sentence"] for e in drawn if len(e["points"]) > 1),
    }


def _line(entry: Mapping[str, Any], metric: str) -> dict[str, Any]:
    scale = units.scale(metric)
    points = sorted(entry["points"], key=lambda p: p["rows"])
    return {
        "name": units.name(entry),
        "x": [p["rows"] for p in points],
        "y": [p["score"] * scale for p in points],
        "lo": [(p["score"] - p["ci95"][0]) * scale for p in points],
        "hi": [(p["ci95"][1] - p["score"]) * scale for p in points],
        "says": [f"{units.score_pm(p, metric)} with {p['rows']} rows" for p in points],
    }


def section(board: Mapping[str, Any], figure: Callable[[], str]) -> str:
    """The section of the page; "" where no curve was asked for. figure: draws the chart's place."""
    curve = board.get("curve")
    if not curve:
        return ""
    drawn, table = figure(), _table(curve, str(board["metric"]))
    return (
        '<section aria-labelledby="by-rows">\n<h2 id="by-rows">How many rows do I need?</h2>\n'
        f'<p class="lead">{escape(curve["sentence"])}</p>\n<div class="grid">\n{drawn}\n<div class="key">'
        f"<h3>In figures</h3>\n{table}\n<p>{escape(curve['rule'])}</p></div>\n</div>\n</section>"
    )


def _table(curve: Mapping[str, Any], metric: str) -> str:
    sizes: Sequence[int] = curve["sizes"]
    heads = "".join(f'<th scope="col" class="number">{n} rows</th>' for n in sizes)
    body = []
    for entry in curve["methods"]:
        by_size = {p["rows"]: units.score_pm(p, metric) for p in entry["points"]}
        why = {p["rows"]: p["reason"] for p in entry["left_out"]}
        cells = "".join(
            f'<td title="{escape(why.get(n, ""))}">{escape(by_size.get(n, units.DASH))}</td>' for n in sizes
        )
        needs = escape(entry["enough"]) if len(entry["points"]) > 1 else units.DASH
        name = escape(units.name(entry))
        body.append(f'<tr><th scope="row"><code>{name}</code></th>{cells}<td>{needs}</td></tr>')
    caption = f"{escape(charts.metric_title(metric))} with half the 95 % interval, by number of training rows."
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Quality by training rows"><table class="plain">'
        f"<caption>{caption}</caption>"
        f'<thead><tr><th scope="col" class="text">Method</th>{heads}<th scope="col" class="number">Enough</th></tr>'
        f"</thead><tbody>{''.join(body)}</tbody></table></div>"
    )
