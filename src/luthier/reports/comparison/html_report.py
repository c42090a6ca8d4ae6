"""Write `report.html`: a comparison as one page that opens anywhere, offline, and can be printed or handed on.

`write_report(board, curves, details, out)` fills `page/template.html` and puts it into the frame. Whatever
comes from data is escaped here, and the page's security policy allows exactly the scripts written into it (by hash) and
no network at all, so that a label or an error message can never become a script. Plotly is embedded, which makes the
file about 5 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template
from typing import Any, TypeVar

from luthier.core import phrases
from luthier.core.phrases import escape, say
from luthier.evals import formatting
from luthier.io.files import write_text
from luthier.reports.comparison import charts, curve_chart, sections
from luthier.reports.comparison.leaderboard_html import leaderboard
from luthier.reports.comparison.per_row_html import evidence_sections
from luthier.reports.comparison.sections import Facts
from luthier.reports.page_frame import colours, framed, read

T = TypeVar("T")
STYLES = ("style.css", "evidence.css")


def write_report(board: Facts, curves: Mapping[str, list[dict[str, Any]]], details: Facts, out: Path) -> None:
    """Write the comparison to `out` as one self-contained HTML file, whole or not at all.

    `board` is the content of leaderboard.json, `curves` maps a method to `{"seed", "tokens", "loss"}` records,
    `details` is what the page says besides (title, verdicts, row counts, recipe, environment, evidence...). Any of its
    values may be missing. Raises OSError where `out` cannot be written; `out` is then as it was.
    """
    page = render(board, curves, details)
    # A lone surrogate, which a broken data file may hold, has no UTF-8: better a ? in a label than no report.
    write_text(out, page.encode("utf-8", "replace").decode("utf-8"))


class _Parts:
    """Makes parts of the page: one that raises is left out, and said."""

    def __init__(self) -> None:
        self.broken: list[str] = []

    def __call__(self, make: Callable[[], T], otherwise: T) -> T:
        try:
            return make()
        except Exception as error:  # one chart or table must not take the page with it
            self.broken.append(say("said_broken_part", reason=f"{type(error).__name__}: {error}"))
            return otherwise


def render(board: Facts, curves: Mapping[str, list[dict[str, Any]]], details: Facts) -> str:
    """The page as a string. A part that cannot be made is left out, and the notes at the top say so."""
    part = _Parts()
    nothing: list[dict[str, Any]] = []
    clear = {(a, b) for a, b in details["clear"]} if details.get("clear") is not None else None
    scatters = part(lambda: [charts.scatter(board, cost, clear) for cost in charts.costs_of(board)], nothing)
    ranked = [formatting.name(row) for row in formatting.finished(board)]
    order = [name for name in dict.fromkeys([*ranked, *curves]) if name in curves]
    panels = part(lambda: charts.learning_curves({name: curves[name] for name in order}), nothing)
    drawn = part(lambda: curve_chart.chart(board), None)
    by_rows = [drawn] if drawn else []
    evidence = details.get("evidence")
    texts = {language: phrases.table()[language] for language in ("en", "zh")}
    title = details.get("title") or "Comparison"
    data = {
        "charts": [*scatters, *panels, *by_rows], "words": texts, "evidence": evidence, "title": title,
    }  # fmt: skip
    makers: dict[str, Callable[[], str]] = {
        "recommendation": lambda: sections.recommendation(board, details),
        "leaderboard": lambda: leaderboard(board, details),
        "verdicts": lambda: sections.verdicts(board),
        "scatters": lambda: "\n".join(sections.figure(index, chart) for index, chart in enumerate(scatters)),
        "evidence": lambda: evidence_sections(evidence, str(board["metric"])),
        "curves": lambda: sections.curves(len(scatters), panels),
        "by_rows": lambda: curve_chart.section(board, len(scatters) + len(panels), by_rows),
        "measured": lambda: sections.measured(board, details),
        "recipe": lambda: sections.recipe(board, details),
        "environment": lambda: sections.environment(details),
    }
    fields = {
        **{f"t_{key}": say(key).html() for key, text in texts["en"].items() if "{" not in text},
        **{f"a_{key}": say(key).attribute() for key, text in texts["en"].items() if "{" not in text},
        "no_charts": "" if any(chart["points"] for chart in scatters) else " hidden",
        **{key: part(make, "") for key, make in makers.items()},
    }
    fields["contents"] = _contents(fields)
    facts = part(lambda: sections.facts(board, details), "")
    quick = part(lambda: sections.quick_look(board, details), "")
    notes = sections.notes({**details, "notes": [*part.broken, *(details.get("notes") or ())]})
    parts = {
        "style": colours() + "".join(map(read, STYLES)),
        "title_text": f"{escape(title)} · Luthier comparison",
        "heading": f'<h1 dir="auto">{escape(title)}</h1>' + part(lambda: sections.used(details), ""),
        "brand": say("brand").html(),
        "skip": say("skip").html(),
        "start": "leaderboard",
        "facts": facts,
        "quick": quick + notes,
    }
    return framed(Template(read("template.html")).substitute(fields), parts, data)


def _contents(fields: Facts) -> str:
    """Links to the sections that the page has."""
    keys = ["leaderboard", "verdicts", *(["costs"] if not fields["no_charts"] else [])]
    keys += [key for key in ("differ", "by_label", "by_language", "confusion", "answers")
             if f'id="{key}"' in fields["evidence"]]  # fmt: skip
    keys += [*(["by_rows"] if fields["by_rows"] else []), "curves", "measured", "recipe", "environment"]
    return "".join(f'<li><a href="#{key}">{say(key).html()}</a></li>' for key in keys)
