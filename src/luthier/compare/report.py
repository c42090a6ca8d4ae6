"""Write `report.html`: a comparison as one page that opens anywhere, offline, and can be printed or handed on.

`write_report(board, curves, details, out)` fills `page/template.html`. Whatever comes from data is escaped here, and
the page's security policy allows exactly the scripts written into it (by hash) and no network at all, so that a label
or an error message can never become a script. Plotly is embedded, which makes the file about 5 MB.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from luthier.compare import charts, rows_chart, units
from luthier.compare.leaderboard_html import emphasised, escape, leaderboard
from luthier.files import write_text

Facts = Mapping[str, Any]
PAGE = Path(__file__).parent / "page"

# One source for the style sheet and the charts: a chart drawn by a script does not follow the style sheet by itself.
PALETTE: dict[str, dict[str, str]] = {
    "light": {
        "paper": "#faf9f6", "card": "#ffffff", "ink": "#1c1f23", "soft": "#5b6069", "line": "#e3e0d9",
        "grid": "#eceae4", "band": "#f1efe9", "accent": "#0d6a5c", "wash": "#e8f2ef", "point": "#8a8f98",
        "warn": "#8a5300", "warnwash": "#fdf3df", "bad": "#a3312a",
    },
    "dark": {
        "paper": "#15171a", "card": "#1c1f23", "ink": "#e8e6e1", "soft": "#a2a6ad", "line": "#31353b",
        "grid": "#2a2e33", "band": "#23272c", "accent": "#63c7b2", "wash": "#1b2b29", "point": "#858b94",
        "warn": "#e9b860", "warnwash": "#2c2619", "bad": "#f08a80",
    },
}  # fmt: skip

GO_ON = " Go on with: "  # parts the sentence of a recommendation from its command

CURVES_INTRO = (
    "Training loss by tokens seen: one line a seed, smoothed lightly, the raw values faint behind it. Methods minimise "
    "different losses, so every panel has its own vertical scale; compare shapes, not heights."
)


def write_report(board: Facts, curves: Mapping[str, list[dict[str, Any]]], details: Facts, out: Path) -> None:
    """Write the comparison to `out` as one self-contained HTML file, whole or not at all.

    `board` is the content of leaderboard.json, `curves` maps a method to `{"seed", "tokens", "loss"}` records,
    `details` is what the page says besides (title, verdicts, row counts, recipe, environment...). Any of its values
    may be missing. Raises OSError where `out` cannot be written; `out` is then as it was.
    """
    page = render(board, curves, details)
    # A lone surrogate, which a broken data file may hold, has no UTF-8: better a ? in a label than no report.
    write_text(out, page.encode("utf-8", "replace").decode("utf-8"))


def render(board: Facts, curves: Mapping[str, list[dict[str, Any]]], details: Facts) -> str:
    """The page as a string."""
    from plotly.offline import get_plotlyjs  # half a second: only where a report is written

    scatters = [charts.scatter(board, cost) for cost in charts.COSTS]
    ranked = [str(row["method"]) for row in units.finished(board)]
    order = [name for name in dict.fromkeys([*ranked, *curves]) if name in curves]
    panels = charts.learning_curves({name: curves[name] for name in order})
    library, script = _script(get_plotlyjs()), _script((PAGE / "page.js").read_text("utf-8"))
    by_rows = [drawn] if (drawn := rows_chart.chart(board)) else []
    last = len(scatters) + len(panels)
    data = {"charts": [*scatters, *panels, *by_rows], "palette": PALETTE}
    fields = {
        "policy": _policy(library, script),
        "style": _colours() + (PAGE / "style.css").read_text("utf-8"),
        "no_charts": "" if any(chart["points"] for chart in scatters) else " hidden",
        "title": escape(details.get("title") or "Comparison"),
        "facts": _facts(board, details),
        "quick_look": _quick_look(board, details),
        "recommendation": _recommendation(board, details),
        "leaderboard": leaderboard(board, details),
        "verdicts": _verdicts(board, details),
        "scatters": "\n".join(_figure(index, chart) for index, chart in enumerate(scatters)),
        "curves": _curves(len(scatters), panels),
        "by_rows": rows_chart.section(board, lambda: "".join(_figure(last, chart) for chart in by_rows)),
        "measured": _measured(board, details),
        "recipe": _recipe(board, details),
        "environment": _environment(details),
        "data": _json(data),
        "plotly": library,
        "script": script,
    }
    return Template((PAGE / "template.html").read_text("utf-8")).substitute(fields)


def _script(text: str) -> str:
    """A script as it stands in the page: a browser turns CR into LF before it checks the hash."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script")


def _policy(*scripts: str) -> str:
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _colours() -> str:
    light, dark = ("".join(f"--{name}:{value};" for name, value in PALETTE[mode].items()) for mode in PALETTE)
    return (
        f":root{{color-scheme:light dark;{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
        f"@media print{{:root{{color-scheme:light;{light}}}}}\n"
    )


def _json(data: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _facts(board: Facts, details: Facts) -> str:
    facts = [
        ("Model", board.get("model")),
        ("Task", board.get("task")),
        ("Budget", _budget(board)),
        ("Rows", _row_counts(details)),
        ("Created", _date(details.get("created"))),
    ]
    return "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts if value)


def _row_counts(details: Facts) -> str:
    parts = [("rows_train", "train"), ("rows_validation", "validation"), ("rows_test", "test")]
    return " · ".join(f"{details[key]} {name}" for key, name in parts if details.get(key) is not None)


def _budget(board: Facts) -> str:
    budget = board.get("budget") or {}
    parts = [f"{units.count(budget['tokens'])} tokens"] if budget.get("tokens") else []
    if budget.get("seconds"):
        parts.append(f"about {units.duration(budget['seconds'])}")
    return ", ".join(parts) + " per method and seed" if parts else ""


def _date(created: object) -> str:
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(str(created))
    except ValueError:
        return str(created or "")
    return f"{moment.day} {moment:%B %Y, %H:%M} {moment:%Z}".strip()


def _point_name(board: Facts) -> str:
    return "points" if board.get("metric") == "accuracy" else f"{board.get('metric')} points"


def _quick_look(board: Facts, details: Facts) -> str:
    if not details.get("quick_look"):
        return ""
    metric = str(board["metric"])
    widths = [half for row in units.finished(board) if (half := units.half_width(row, metric)) is not None]
    text = f"one seed, {escape(details.get('rows_test', '?'))} test rows"
    if widths:
        text += f"; differences under ±{max(widths):.1f} {escape(_point_name(board))} mean nothing"
    return f'<p class="quick" role="note"><strong>Quick look:</strong> {text}.</p>'


def _copyable(key: str, text: object, label: str) -> str:
    return (
        f'<div class="copyable"><pre id="{key}" tabindex="0" aria-label="{label}"><code>{escape(text)}</code></pre>'
        f'<button type="button" class="copy" data-copy="{key}">Copy</button></div>'
    )


def _recommendation(board: Facts, details: Facts) -> str:
    names = [str(row["method"]) for row in board["rows"]]
    spoken, _, go_on = str(board.get("recommendation") or "No method finished.").partition(GO_ON)
    sentence = emphasised(spoken, names, board.get("best"))
    parts = [f'<p class="lead">{sentence}</p>']
    best = next((row for row in units.finished(board) if row["method"] == board.get("best")), None)
    if best:
        metric = str(board["metric"])
        figures = [
            (
                charts.metric_title(metric),
                units.score(best.get("score"), metric),
                f"95 % interval {units.interval_text(best, metric)}" if units.bounds(best, metric) else "",
            ),
            ("Trained", units.count(best.get("trainable")), _of_model(best)),
            ("To ship", units.size(best.get("artifact_bytes")), ""),
            ("Training", units.duration(best.get("train_seconds")), "per seed"),
            ("Latency", units.latency(best.get("latency_ms")), "one example"),
        ]
        tiles = "".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
            for name, value, note in figures
            if value != units.DASH
        )
        parts.append(f'<dl class="tiles" aria-label="{escape(best["method"])} in figures">{tiles}</dl>')
    if go_on:
        parts.append('<p class="label">Go on with it</p>')
        parts.append(_copyable("go-on", go_on, "Command that uses the winner"))
    if details.get("command"):
        parts.append('<p class="label">Repeat this comparison</p>')
        parts.append(_copyable("command", details["command"], "Command that repeats the comparison"))
    if best and details.get("recipe"):
        parts.append(f'<p class="more"><a href="#recipe-title">The recipe to train {escape(best["method"])}</a></p>')
    return "\n".join(parts)


def _of_model(row: Facts) -> str:
    return f"{units.share(row['trainable_share'])} of the model" if units.known(row.get("trainable_share")) else ""


def _verdicts(board: Facts, details: Facts) -> str:
    names = [str(row["method"]) for row in board["rows"]]
    items = "".join(f"<li>{emphasised(text, names)}</li>" for text in details.get("verdicts") or [])
    return f'<ul class="verdicts">{items}</ul>' if items else "<p>No difference was tested.</p>"


def _figure(index: int, chart: Facts) -> str:
    return (
        f'<figure><h3 id="chart-{index}-title">{escape(chart["title"])}</h3>'
        f'<div class="chart" data-chart="{index}" role="img" aria-labelledby="chart-{index}-title" '
        f'aria-describedby="chart-{index}-text"></div>'
        f'<figcaption id="chart-{index}-text">{escape(chart["summary"])}</figcaption></figure>'
    )


def _curves(first: int, panels: Sequence[Facts]) -> str:
    if not panels:
        return "<p>No method in this comparison was trained step by step.</p>"
    figures = "\n".join(_figure(first + index, panel) for index, panel in enumerate(panels))
    return f'<p class="intro">{CURVES_INTRO}</p>\n<div class="panels">{figures}</div>'


def _measured(board: Facts, details: Facts) -> str:
    budget = _budget(board)
    counts = (details.get(f"rows_{part}") for part in ("train", "validation", "test"))
    train, validation, test = ("?" if rows is None else escape(rows) for rows in counts)
    items = [
        f"<b>Rows.</b> {train} to learn from, {validation} to choose between settings, {test} to score. Without a test "
        "file of its own, data is split 60/20/20 with the same mix of labels in each part and repeated rows kept "
        "together.",
        "<b>The test rows</b> were read by no method, no search and no early stop. Each method's final model was "
        "scored on them once per seed.",
        f"<b>Equal budget.</b> {escape(budget or 'Every method had the same training budget')}. A search for the "
        "learning rate could cost as much again, never more; it was decided on the validation rows, over ranges fixed "
        "in advance. Evaluation is outside the budget.",
        "<b>The untuned model</b> is a row like the others, with the best of three prompts by validation, as every "
        "trained method has its learning rate.",
        f"<b>Score.</b> {_metric_words(board)} {_interval_words(board)}",
        "<b>Differences</b> come from a paired bootstrap: both methods on the same test rows, drawn again many times. "
        "Where the interval of a difference includes zero, the page says “not distinguishable” and means it.",
        "<b>Forgetting</b> is the rise of the loss on a page of general text, in nats per token: 0 is no harm done.",
    ]
    parts = ['<ul class="measured">', *(f"<li>{item}</li>" for item in items), "</ul>"]
    if labels := details.get("labels"):
        chips = "".join(f"<li>{escape(label)}</li>" for label in labels)
        parts.append(f'<h3>{len(labels)} labels</h3><ul class="labels">{chips}</ul>')
    if notes := details.get("notes"):
        parts.append("<h3>Notes</h3><ul>" + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>")
    return "\n".join(parts)


def _interval_words(board: Facts) -> str:
    if all(row.get("seeds") == 1 for row in units.finished(board)):
        return "Intervals are 95 % intervals over the test rows; with one seed they leave out how much a run varies."
    return "Intervals are 95 % intervals over the test rows and seeds."


def _metric_words(board: Facts) -> str:
    if board.get("metric") == "accuracy":
        return "Accuracy is the share of test rows labelled right, in per cent; differences are in points."
    return "chrF compares letter sequences with the reference answer: 0 is nothing in common, 100 the same text."


def _recipe(board: Facts, details: Facts) -> str:
    if not details.get("recipe"):
        return "<p>No recipe was recorded.</p>"
    name = f" of <code>{escape(board['best'])}</code>" if board.get("best") else ""
    text = f"The training recipe{name}, complete. Save it as <code>recipe.yaml</code> and run"
    return f"<p>{text} <code>luthier train recipe.yaml</code>.</p>" + _copyable("recipe", details["recipe"], "Recipe")


def _environment(details: Facts) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in (details.get("environment") or {}).items()
    )
    if not rows:
        return "<p>Not recorded.</p>"
    return f'<table class="plain"><caption class="hidden">Versions and machine</caption><tbody>{rows}</tbody></table>'
