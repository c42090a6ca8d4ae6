"""What people look at: the tree of a search with its scores by round, and wordings side by side on the same rows.

Pages open offline; whatever comes from data or a model is escaped, and the security policy allows no network and no
script but the one written into the page of votes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier import plain_page
from luthier.plain_page import text
from luthier.prompts.svg import Line, chart

ROOM = Path(__file__).parent
STYLES = (ROOM / "page" / "prompts.css",)
Event = Mapping[str, Any]
SAID = {
    "user": "given",
    "bundled": "from the package",
    "written": "written by a model",
    "rewritten": "rewritten by a model",
}


def write(path: Path, title: str, body: str, script: str = "", wide: bool = False) -> None:
    """Write a page about prompts."""
    plain_page.write(path, f"{title} · Luthier", title, body, STYLES, script, wide)


# -- the search ------------------------------------------------------------------------------------------------------


def write_search(path: Path, title: str, events: Sequence[Event], unit: str, facts: Sequence[str]) -> None:
    """The page of a search, from its log alone."""
    lines, ticks, said = by_round(events)
    told = "".join(f"<li>{text(fact)}</li>" for fact in facts)
    drawing = chart(lines, "round (training rows scored)", unit, ticks, said)
    body = (
        f'<ul class="facts">{told}</ul>\n<h2>Score by round</h2>\n<p>{text(said)} Each thin line is a wording; it ends '
        f"where its wording was left behind.</p>\n{drawing}\n<h2>The search tree</h2>\n"
        f"<p>A wording stands below the one that it was rewritten from.</p>\n{tree(events)}\n"
        '<p><a href="wordings.html">The same rows under several wordings, side by side</a></p>'
    )
    write(path, title, body)


def by_round(events: Sequence[Event]) -> tuple[list[Line], list[tuple[float, str]], str]:
    """A line a wording, the ticks of the axis, and the chart in a sentence."""
    rounds = [e for e in events if e["event"] == "round"]
    best = next((e["id"] for e in events if e["event"] == "best"), None)
    values = scores(events)
    points: dict[int, list[tuple[float, ...]]] = {}
    for e in rounds:
        for id_ in e["order"]:
            part = values[id_][: e["rows"]]
            point: tuple[float, ...] = (float(e["round"]), sum(part) / len(part))
            points.setdefault(id_, []).append((*point, *_interval(part)) if id_ == best else point)
    lines = [Line("the best" if id_ == best else f"wording {id_}", p, "main" if id_ == best else "")
             for id_, p in points.items()]  # fmt: skip
    ticks = [(float(e["round"]), f"{e['round'] + 1} ({e['rows']})") for e in rounds]
    heads = ", ".join(f"{e['scores'][0]:.3f}" for e in rounds)
    return lines, ticks, f"The best score of each round: {heads}."


def _interval(values: Sequence[float]) -> tuple[float, float]:
    from luthier.compare.stats import Bootstrap

    found = Bootstrap({"it": [list(values)]}).score("it")
    return found.low, found.high


def scores(events: Sequence[Event]) -> dict[int, list[float]]:
    """Every wording's scores so far."""
    out: dict[int, list[float]] = {e["id"]: [] for e in events if e["event"] == "candidate"}
    for e in events:
        if e["event"] == "scores":
            out[e["id"]] += e["values"]
    return out


def tree(events: Sequence[Event]) -> str:
    """All wordings, dropped ones too, each below its parent."""
    values = scores(events)
    best = next((e["id"] for e in events if e["event"] == "best"), None)
    below: dict[int | None, list[Event]] = {}
    for e in events:
        if e["event"] in ("candidate", "dropped"):
            below.setdefault(e["parent"], []).append(e)

    def listed(parent: int | None) -> str:
        items = "".join(item(e) for e in below.get(parent, ()))
        kind = ' class="tree"' if parent is None else ""
        return f"<ul{kind}>{items}</ul>" if items else ""

    def item(e: Event) -> str:
        source = SAID.get(e["source"], e["source"])
        if e["event"] == "dropped":
            return (
                f'<li class="left"><span class="facts">dropped in round {e["round"] + 1}, {source}: {text(e["reason"])}'
                f'</span><pre dir="auto">{text(e["text"])}</pre></li>'
            )
        own = values[e["id"]]
        mean = f"score {sum(own) / len(own):.3f} on {len(own)} rows" if own else "not scored"
        repaired = f"; {text(e['repaired'])}" if e["repaired"] else ""
        form = "a chat turn" if e["chat"] else "plain text"
        mark = "<b>The best.</b> " if e["id"] == best else ""
        kind = ' class="best"' if e["id"] == best else ""
        return (
            f'<li{kind}>{mark}<span class="facts">wording {e["id"]}, round {e["round"] + 1}, {source}, {form}; '
            f'{mean}{repaired}</span><pre dir="auto">{text(e["text"])}</pre>{listed(e["id"])}</li>'
        )

    return listed(None)


# -- side by side ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sheet:
    """wordings: what each column is, in words. rows: what is asked and wanted, and the answers in order of columns."""

    wordings: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[str]]]


def write_sheet(path: Path, title: str, sheet: Sheet) -> None:
    """The page on which a person judges: columns are letters, what they stand for is behind a fold."""
    letters = [chr(ord("A") + i) for i in range(len(sheet.wordings))]
    heads = "".join(f'<th scope="col">{letter}</th>' for letter in letters)
    body = "".join(_judged(number, row, letters) for number, row in enumerate(sheet.rows))
    votes = "".join(f'<td data-votes="{letter}">0</td>' for letter in letters)
    told = "".join(
        f'<li><b>{letter}</b> <pre dir="auto">{text(w)}</pre></li>'
        for letter, w in zip(letters, sheet.wordings, strict=True)
    )
    write(
        path, title,
        '<p>The same training rows under each wording. Say in each row which answer is best; the wordings are below, '
        'so that they do not decide.</p>\n<div class="scroll" tabindex="0"><table class="sheet"><thead><tr>'
        f'<th scope="col">Asked, and wanted</th>{heads}</tr></thead><tbody>{body}'
        f'<tr><th scope="row">Votes</th>{votes}</tr></tbody></table></div>\n'
        f"<details><summary>Which wording is which</summary><ul>{told}</ul></details>\n"
        '<p><a href="search.html">The search</a></p>',
        (ROOM / "page" / "votes.js").read_text(encoding="utf-8"), wide=True,
    )  # fmt: skip


def _judged(number: int, row: tuple[str, str, Sequence[str]], letters: Sequence[str]) -> str:
    asked, wanted, answers = row
    cells = "".join(
        f'<td><div dir="auto">{text(answer) or "<i>nothing</i>"}</div><label><input type="radio" name="row{number}" '
        f'value="{letter}"> best</label></td>'
        for letter, answer in zip(letters, answers, strict=True)
    )
    return (
        f'<tr><th scope="row"><div dir="auto">{text(asked)}</div>'
        f'<div class="wanted" dir="auto">{text(wanted)}</div></th>{cells}</tr>'
    )
