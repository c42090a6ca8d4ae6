"""The report's part on training rows: quality by their number, drawn, in words, and as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from luthier.core.phrases import escape, html, say
from luthier.evals import formatting
from luthier.reports.comparison import charts, sections, sentences


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
        "title": say("rows_title"),
        "points": spread,
        "lines": lines,
        "x": {"title": say("axis_rows"), "ticks": sizes, "range": [low - pad, high + pad]},
        "y": {"title": formatting.metric(metric), "range": charts.y_range(spread)},
        "summary": [sentences.curve(e, metric) for e in drawn if len(e["points"]) > 1],
    }


def _line(entry: Mapping[str, Any], metric: str) -> dict[str, Any]:
    scale = formatting.scale(metric)
    points = sorted(entry["points"], key=lambda p: p["rows"])
    return {
        "name": formatting.name(entry),
        "x": [p["rows"] for p in points],
        "y": [p["score"] * scale for p in points],
        "lo": [(p["score"] - p["ci95"][0]) * scale for p in points],
        "hi": [(p["ci95"][1] - p["score"]) * scale for p in points],
        "says": [say("says_rows", score=formatting.score_pm(p, metric), n=p["rows"]) for p in points],
    }


def section(board: Mapping[str, Any], index: int, drawn: Sequence[Mapping[str, Any]]) -> str:
    """The section of the page; "" where no curve was asked for. drawn: the chart, if any; index: its number."""
    curve = board.get("curve")
    if not curve:
        return ""
    figures = "".join(sections.figure(index, chart) for chart in drawn)
    return (
        f'<section aria-labelledby="by_rows">\n{say("by_rows").html("h2", BY_ROWS)}\n'
        f"{sections.spoken(sentences.curve_of(board), tag='p', more=LEAD)}\n"
        f'<div class="grid">\n{figures}\n<div class="key">'
        f"{say('rows_figures').html('h3')}\n{_table(curve, str(board['metric']))}\n{say('rows_rule').html('p')}</div>\n"
        "</div>\n</section>"
    )


BY_ROWS, LEAD = ' id="by_rows"', ' class="lead"'


def _table(curve: Mapping[str, Any], metric: str) -> str:
    sizes: Sequence[int] = curve["sizes"]
    number = ' scope="col" class="number"'
    heads = "".join(say("rows_column", n=n).html("th", number) for n in sizes)
    body = []
    for entry in curve["methods"]:
        by_size = {p["rows"]: formatting.score_pm(p, metric) for p in entry["points"]}
        why = {p["rows"]: p["reason"] for p in entry["left_out"]}
        cells = "".join(
            f'<td title="{escape(why.get(n, ""))}">{escape(by_size.get(n, formatting.DASH))}</td>' for n in sizes
        )
        needs = escape(entry["enough"]) if len(entry["points"]) > 1 else formatting.DASH
        name = escape(formatting.name(entry))
        body.append(f'<tr><th scope="row"><code>{name}</code></th>{cells}<td>{needs}</td></tr>')
    caption = html(say("rows_caption", metric=formatting.metric(metric)))
    return (
        f'<div class="scroll" tabindex="0" role="region" {say("rows_region").attribute()}><table class="plain">'
        f"<caption>{caption}</caption><thead><tr>{say('column_method').html('th', TEXT)}{heads}"
        f"{say('rows_enough').html('th', number)}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


TEXT = ' scope="col" class="text"'
