"""What people look at: the tree of a search with its scores by round, and wordings side by side on the same rows.

Pages open offline and speak both languages; whatever comes from data or a model is escaped, and the security policy
allows no network and no script but what is written into the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.core.metric import find, names, scale
from luthier.core.phrases import Phrase
from luthier.reports import plain_page
from luthier.reports.plain_page import both, text
from luthier.reports.svg import STYLE as CHART
from luthier.reports.svg import Line, chart

ASSETS = Path(__file__).parent / "assets"
STYLES = (CHART, ASSETS / "prompts.css")
Event = Mapping[str, Any]
SAID = {
    "user": ("given", "用户给出"),
    "bundled": ("from the package", "软件自带"),
    "written": ("written by a model", "模型写出"),
    "rewritten": ("rewritten by a model", "模型改写"),
}


def noted(note: str) -> Phrase | str:
    """A note of a search in both languages, which the page can say without the catalogue; plain text as it is."""
    return both(note, note.text("zh")) if isinstance(note, Phrase) else note


def write(path: Path, title: Phrase, body: str, script: str = "", wide: bool = False) -> None:
    """Write a page about prompts."""
    whole = both(f"{title} · Luthier", f"{title.text('zh')} · Luthier")
    plain_page.write(path, whole, title, body, STYLES, script, wide)


def times(measure: str) -> float:
    """What scores are multiplied with to be in the measure's unit: 100 for per cent."""
    return next((scale(name) for name in names() if find(name).title == measure), 1.0)


def measured(measure: str) -> Phrase:
    """What a score is (`scorer.unit`), in both languages."""
    return both(measure, measure.text("zh") if isinstance(measure, Phrase) else measure)


# -- the search ------------------------------------------------------------------------------------------------------


def write_search(path: Path, title: Phrase, events: Sequence[Event], unit: str, facts: Sequence[str]) -> None:
    """The page of a search, from its log alone."""
    lines, ticks, said = by_round(events, times(unit))
    told = "".join(f"<li>{text(noted(fact))}</li>" for fact in facts)
    axis = both("round (training rows scored)", "轮（评分的训练行数）")
    drawing = chart(lines, axis, measured(unit), ticks, str(said))
    thin = both("Each thin line is a wording; it ends where its wording was left behind.",
                "每条细线是一种措辞；它在该措辞被淘汰处结束。")  # fmt: skip
    below = both("A wording stands below the one that it was rewritten from.", "改写的措辞列在它的来源之下。")
    beside = both("The same rows under several wordings, side by side", "同样的行在几种措辞下的并排对照")
    body = (
        f'<ul class="facts">{told}</ul>\n<h2>{text(both("Score by round", "各轮得分"))}</h2>\n'
        f"<p>{text(said)} {text(thin)}</p>\n{drawing}\n<h2>{text(both('The search tree', '搜索树'))}</h2>\n"
        f'<p>{text(below)}</p>\n{tree(events, times(unit))}\n<p><a href="wordings.html">{text(beside)}</a></p>'
    )
    write(path, title, body)


def by_round(events: Sequence[Event], points: float = 1.0) -> tuple[list[Line], list[tuple[float, str]], Phrase]:
    """A line a wording, the ticks of the axis, and the chart in a sentence."""
    rounds = [e for e in events if e["event"] == "round"]
    best = next((e["id"] for e in events if e["event"] == "best"), None)
    values = {id_: [points * v for v in own] for id_, own in scores(events).items()}
    drawn: dict[int, list[tuple[float, ...]]] = {}
    for e in rounds:
        for id_ in e["order"]:
            part = values[id_][: e["rows"]]
            point: tuple[float, ...] = (float(e["round"]), sum(part) / len(part))
            drawn.setdefault(id_, []).append((*point, *_interval(part)) if id_ == best else point)
    lines = [
        Line(*((both("the best", "最佳"), p, "main") if id_ == best else (both(f"wording {id_}", f"措辞 {id_}"), p)))
        for id_, p in drawn.items()
    ]
    ticks = [(float(e["round"]), f"{e['round'] + 1} ({e['rows']})") for e in rounds]
    heads = ", ".join(f"{points * e['scores'][0]:.4g}" for e in rounds)
    return lines, ticks, both(f"The best score of each round: {heads}.", f"各轮最高分：{heads}。")


def _interval(values: Sequence[float]) -> tuple[float, float]:
    from luthier.evals.bootstrap import Bootstrap

    found = Bootstrap({"it": [list(values)]}).score("it")
    return found.low, found.high


def scores(events: Sequence[Event]) -> dict[int, list[float]]:
    """Every wording's scores so far."""
    out: dict[int, list[float]] = {e["id"]: [] for e in events if e["event"] == "candidate"}
    for e in events:
        if e["event"] == "scores":
            out[e["id"]] += e["values"]
    return out


def tree(events: Sequence[Event], points: float = 1.0) -> str:
    """All wordings, dropped ones too, each below its parent."""
    values = {id_: [points * v for v in own] for id_, own in scores(events).items()}
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
        wording = f'<pre dir="auto">{text(e["text"])}</pre>'
        if e["event"] == "dropped":
            return f'<li class="left"><span class="facts">{text(_dropped(e))}</span>{wording}</li>'
        is_best = e["id"] == best
        mark = f"<b>{text(both('The best.', '最佳。'))}</b> " if is_best else ""
        about = f'<span class="facts">{text(_about(e, values[e["id"]]))}</span>'
        kind = ' class="best"' if is_best else ""
        return f"<li{kind}>{mark}{about}{wording}{listed(e['id'])}</li>"

    return listed(None)


def _dropped(e: Event) -> Phrase:
    en, zh = SAID.get(e["source"], (e["source"], e["source"]))
    why = e["reason"].text("zh") if isinstance(e["reason"], Phrase) else e["reason"]
    return both(f"dropped in round {e['round'] + 1}, {en}: {e['reason']}", f"第 {e['round'] + 1} 轮舍弃，{zh}：{why}")


def _about(e: Event, own: Sequence[float]) -> Phrase:
    en, zh = SAID.get(e["source"], (e["source"], e["source"]))
    mean = ("not scored", "未评分")
    if own:
        value = f"{sum(own) / len(own):.4g}"
        mean = f"score {value} on {len(own)} rows", f"{len(own)} 行得分 {value}"
    repaired = (f"; {e['repaired']}", f"；{e['repaired']}") if e["repaired"] else ("", "")
    form = ("a chat turn", "对话轮") if e["chat"] else ("plain text", "纯文本")
    return both(
        f"wording {e['id']}, round {e['round'] + 1}, {en}, {form[0]}; {mean[0]}{repaired[0]}",
        f"措辞 {e['id']}，第 {e['round'] + 1} 轮，{zh}，{form[1]}；{mean[1]}{repaired[1]}",
    )


# -- side by side ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sheet:
    """wordings: what each column is, in words. rows: what is asked and wanted, and the answers in order of columns."""

    wordings: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[str]]]


def write_sheet(path: Path, title: Phrase, sheet: Sheet) -> None:
    """The page on which a person judges: columns are letters, what they stand for is behind a fold."""
    letters = [chr(ord("A") + i) for i in range(len(sheet.wordings))]
    heads = "".join(f'<th scope="col">{letter}</th>' for letter in letters)
    body = "".join(_judged(number, row, letters) for number, row in enumerate(sheet.rows))
    votes = "".join(f'<td data-votes="{letter}">0</td>' for letter in letters)
    told = "".join(
        f'<li><b>{letter}</b> <pre dir="auto">{text(w)}</pre></li>'
        for letter, w in zip(letters, sheet.wordings, strict=True)
    )
    how = both(
        "The same training rows under each wording. Say in each row which answer is best; the wordings are below, so "
        "that they do not decide.",
        "同样的训练行在每种措辞下的回答。请在每行选出最好的回答；措辞本身列在下方，以免影响判断。",
    )
    asked, voted = both("Asked, and wanted", "问题与期望的答案"), both("Votes", "票数")
    which, back = both("Which wording is which", "各列是哪种措辞"), both("The search", "搜索过程")
    write(
        path, title,
        f'<p>{text(how)}</p>\n<div class="scroll" tabindex="0"><table class="sheet"><thead><tr>'
        f'<th scope="col">{text(asked)}</th>{heads}</tr></thead><tbody>{body}'
        f'<tr><th scope="row">{text(voted)}</th>{votes}</tr></tbody></table></div>\n'
        f"<details><summary>{text(which)}</summary><ul>{told}</ul></details>\n"
        f'<p><a href="search.html">{text(back)}</a></p>',
        (ASSETS / "votes.js").read_text(encoding="utf-8"), wide=True,
    )  # fmt: skip


def _judged(number: int, row: tuple[str, str, Sequence[str]], letters: Sequence[str]) -> str:
    asked, wanted, answers = row
    nothing, best = f"<i>{text(both('nothing', '空'))}</i>", text(both("best", "最好"))
    cells = "".join(
        f'<td><div dir="auto">{text(answer) or nothing}</div><label><input type="radio" name="row{number}" '
        f'value="{letter}"> {best}</label></td>'
        for letter, answer in zip(letters, answers, strict=True)
    )
    return (
        f'<tr><th scope="row"><div dir="auto">{text(asked)}</div>'
        f'<div class="wanted" dir="auto">{text(wanted)}</div></th>{cells}</tr>'
    )
