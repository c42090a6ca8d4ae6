"""Write `report.html`: a comparison as one page that opens anywhere, offline, and can be printed or handed on.

`write_report(board, curves, details, out)` fills `page/template.html`. Whatever comes from data is escaped here, and
the page's security policy allows exactly the scripts written into it (by hash) and no network at all, so that a label
or an error message can never become a script. Plotly is embedded, which makes the file about 5 MB.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from luthier.compare import charts, curve_chart, report_parts, units, words
from luthier.compare.evidence_html import evidence_sections
from luthier.compare.leaderboard_html import leaderboard
from luthier.compare.report_parts import GO_ON as GO_ON
from luthier.compare.report_parts import Facts
from luthier.compare.words import PAGE, escape, say
from luthier.files import write_text

STYLES = ("style.css", "evidence.css")
SCRIPTS = ("words.js", "page.js", "evidence.js")  # one after the other in one element

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


def write_report(board: Facts, curves: Mapping[str, list[dict[str, Any]]], details: Facts, out: Path) -> None:
    """Write the comparison to `out` as one self-contained HTML file, whole or not at all.

    `board` is the content of leaderboard.json, `curves` maps a method to `{"seed", "tokens", "loss"}` records,
    `details` is what the page says besides (title, verdicts, row counts, recipe, environment, evidence...). Any of its
    values may be missing. Raises OSError where `out` cannot be written; `out` is then as it was.
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
    by_rows = [drawn] if (drawn := curve_chart.chart(board)) else []
    evidence = details.get("evidence")
    library, script = _script(get_plotlyjs()), _script("\n".join(_read(name) for name in SCRIPTS))
    texts = {language: words.table()[language] for language in ("en", "zh")}
    title = details.get("title") or "Comparison"
    data = {
        "charts": [*scatters, *panels, *by_rows], "palette": PALETTE, "words": texts, "evidence": evidence,
        "title": title,
    }  # fmt: skip
    fields = {
        **{f"t_{key}": say(key).html() for key, text in texts["en"].items() if "{" not in text},
        **{f"a_{key}": say(key).attribute() for key, text in texts["en"].items() if "{" not in text},
        "policy": _policy(library, script),
        "style": _colours() + "".join(map(_read, STYLES)),
        "no_charts": "" if any(chart["points"] for chart in scatters) else " hidden",
        "title": escape(title),
        "facts": report_parts.facts(board, details),
        "quick_look": report_parts.quick_look(board, details),
        "recommendation": report_parts.recommendation(board, details),
        "leaderboard": leaderboard(board, details),
        "verdicts": report_parts.verdicts(board, details),
        "scatters": "\n".join(report_parts.figure(index, chart) for index, chart in enumerate(scatters)),
        "evidence": evidence_sections(evidence, str(board["metric"])),
        "curves": report_parts.curves(len(scatters), panels),
        "by_rows": curve_chart.section(board, len(scatters) + len(panels), by_rows),
        "measured": report_parts.measured(board, details),
        "recipe": report_parts.recipe(board, details),
        "environment": report_parts.environment(details),
        "data": _json(data),
        "plotly": library,
        "script": script,
    }
    fields["contents"] = _contents(fields)
    return Template(_read("template.html")).substitute(fields)


def _read(name: str) -> str:
    return (PAGE / name).read_text("utf-8")


def _contents(fields: Facts) -> str:
    """Links to the sections that the page has."""
    keys = ["leaderboard", "verdicts", *(["costs"] if not fields["no_charts"] else [])]
    keys += [key for key in ("differ", "by_label", "by_language", "confusion", "answers")
             if f'id="{key}"' in fields["evidence"]]  # fmt: skip
    keys += [*(["by_rows"] if fields["by_rows"] else []), "curves", "measured", "recipe", "environment"]
    return "".join(f'<li><a href="#{key}">{say(key).html()}</a></li>' for key in keys)


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
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, default=words.packed)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
