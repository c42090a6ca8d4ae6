"""What a measurement of robustness says, on the terminal and as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from luthier.core.metric import scale
from luthier.core.phrases import Phrase
from luthier.data.prompts import Template
from luthier.evals import formatting
from luthier.reports.plain_page import both, text
from luthier.reports.prompts import page

FEW = 20  # rows under which a bootstrap's interval is no help
KINDS = {
    "all": ("all kinds together", "全部种类合计"),
    "typos in the wording": ("typos in the wording", "措辞中的错字"),
    "typos in the input": ("typos in the input", "输入中的错字"),
    "case of the wording": ("case of the wording", "措辞的大小写或标点"),
    "case of the input": ("case of the input", "输入的大小写"),
    "order of options": ("order of options", "选项的顺序"),
    "paraphrase": ("paraphrase", "换一种说法"),
}


def kind_of(found: dict[str, Any]) -> tuple[str, str]:
    """What was done, in both languages."""
    return KINDS.get(found["kind"], (found["kind"], found["kind"]))


def _head(result: dict[str, Any]) -> Phrase:
    points = scale(result["metric"])
    low, high = (points * v for v in result["ci95"])
    name, value, rows = result["metric"], f"{points * result['score']:.1f}", result["rows"]
    named = formatting.metric(name)
    zh = named.text("zh") if isinstance(named, Phrase) else named
    return both(
        f"{name} {value} (95 % {low:.1f} to {high:.1f}) on {rows} rows",
        f"{zh} {value}（95 % {low:.1f} 到 {high:.1f}），{rows} 行",
    )


def spoken(result: dict[str, Any]) -> list[str]:
    """The result in lines: every kind, all kinds together, and a word where the rows are few."""
    points = scale(result["metric"])
    lines = [str(_head(result))]
    for found in result["changes"]:
        low, high = (points * v for v in found["ci95"])
        name, sure = kind_of(found)[0], "" if low > 0 or high < 0 else ", not distinguishable from none"
        name += "" if found["kind"] == "all" else f" ({found['variants']})"
        lines.append(f"  {name}: {points * found['change']:+.1f} points (95 % {low:+.1f} to {high:+.1f}){sure}")
    return [*lines, *(str(said) for said in _few(result))]


def _few(result: dict[str, Any]) -> list[Phrase]:
    rows = result["rows"]
    if rows >= FEW:
        return []
    return [both(f"Only {rows} rows: intervals of so few are too narrow.", f"只有 {rows} 行：行数太少，区间偏窄。")]


def write_page(path: Path, run: str, template: Template, result: dict[str, Any]) -> None:
    """The page of a measurement. run: its name."""
    points = scale(result["metric"])
    rows = "".join(_row(points, found) for found in result["changes"])
    tried = "".join(
        f'<li><span class="facts">{text(both(*kind_of(t)))} {points * t["score"]:.1f}</span>'
        f'<pre dir="auto">{text(t["shown"])}</pre></li>'
        for t in result["tried"]
    )
    failed = "".join(f"<li>{text(why)}</li>" for why in [*_few(result), *result.get("failed", ())])
    number = ' class="number"'
    heads = (("", both("change", "改动")), (number, both("variants", "变体数")), (number, both("points", "百分点")),
             (number, both("95 % interval", "95 % 区间")))  # fmt: skip
    body = (
        f'<p class="verdict">{text(_head(result))}</p><pre dir="auto">{text(template.text)}</pre>\n'
        f'<h2>{text(both("How far quality moves", "质量变化多少"))}</h2>\n<table class="plain"><thead><tr>'
        + "".join(f'<th scope="col"{kind}>{text(said)}</th>' for kind, said in heads)
        + f'</tr></thead><tbody>{rows}</tbody></table>\n<ul class="facts">{failed}</ul>\n'
        f'<h2>{text(both("What was tried", "试过的变体"))}</h2>\n<ul class="tree">{tried}</ul>'
    )
    page.write(path, both(f"How sure the prompt of {run} is", f"{run} 的提示词有多稳"), body)


def _row(points: float, found: dict[str, Any]) -> str:
    low, high = (f"{points * v:+.1f}" for v in found["ci95"])
    return (
        f'<tr><th scope="row">{text(both(*kind_of(found)))}</th><td class="number">{found["variants"]}</td>'
        f'<td class="number">{points * found["change"]:+.1f}</td>'
        f'<td class="number">{text(both(f"{low} to {high}", f"{low} 到 {high}"))}</td></tr>'
    )
