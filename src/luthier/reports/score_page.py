"""How a reward agrees with people, as a page: its margins, its calibration, and where length alone would do as well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from luthier.core.phrases import Phrase, html
from luthier.evals.agreement import Agreement, Bin
from luthier.evals.bootstrap import Interval
from luthier.reports.plain_page import both, text, write
from luthier.reports.svg import STYLE, Line, chart

STEPS = 50  # points of the curve of margins
ABOUT = {
    "title": both("A reward held against people", "奖励与人的偏好对照"),
    "margins": both("Margins", "分差"),
    "margin": both("number of the better answer, less that of the worse", "较好回答的分数减去较差回答的分数"),
    "share": both("% of pairs with less", "分差更小的成对回答（%）"),
    "pairs": both("pairs", "成对回答"),
    "wrong": both("0: left of it told wrong", "0：左侧判断错误"),
    "calibration": both("Calibration", "校准"),
    "said": both("how sure σ(margin) is of the answer it names, %", "σ(分差) 对所选回答的把握（%）"),
    "right": both("how often it is right, %", "实际判断正确（%）"),
    "reward": both("reward", "奖励"),
    "ideal": both("as sure as right", "把握与正确率一致"),
    "few": both("too few pairs for a figure", "成对回答太少，无法作图"),
}


def write_page(path: Path, name: str, found: Agreement) -> None:
    """Write the page of a reward (by its name), whole or not at all. Raises OSError."""
    facts = "".join(f"<li>{text(fact)}</li>" for fact in _facts(found))
    doubts = "".join(f'<li class="trouble">{text(both(str(doubt), doubt.text("zh")))}</li>' for doubt in found.doubts)
    body = f"""<p class="soft">{text(name)}</p>
<ul class="findings">{facts}{doubts}</ul>
<h2>{text(ABOUT["margins"])}</h2>
{_margins(found.margins)}
<h2>{text(ABOUT["calibration"])}</h2>
{_calibration(found.bins)}"""
    write(path, ABOUT["title"], ABOUT["title"], body, (STYLE,))


def _facts(found: Agreement) -> list[Phrase]:
    right, length, ahead = map(_percent, (found.right, found.length, found.ahead))
    facts = [
        both(
            f"{right} of {found.pairs} pairs told right, in {found.rows} rows",
            f"{found.rows} 行中 {found.pairs} 对回答，判断正确 {right}",
        ),
        both(
            f"by length alone: {length}; ahead of it by {ahead}",
            f"仅凭长短：{length}；领先 {ahead}",
        ),
    ]
    if found.longer is not None:
        share = f"{100 * found.longer:.1f} %"
        facts.append(both(f"where the better answer is the longer one: {share}", f"较好回答更长时：{share}"))
    if found.shorter is not None:
        share = f"{100 * found.shorter:.1f} %"
        facts.append(both(f"where the better answer is the shorter one: {share}", f"较好回答更短时：{share}"))
    return facts


def _percent(found: Interval) -> str:
    return f"{100 * found.value:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _margins(margins: Sequence[float]) -> str:
    """Which share of the pairs has a smaller margin: what lies left of 0 is told wrong."""
    last = len(margins) - 1
    places = sorted({round(last * i / STEPS) for i in range(STEPS + 1)})
    curve = [(margins[at], 100 * (at + 1) / len(margins)) for at in places]
    low, high = min(margins[0], 0.0), max(margins[-1], 0.0)
    ticks = [(value, f"{value:.3g}") for value in sorted({low, 0.0, high})]
    lines = [Line(ABOUT["wrong"], [(0.0, 0.0), (0.0, 100.0)], "other"), Line(ABOUT["pairs"], curve, "main")]
    return chart(lines, ABOUT["margin"], ABOUT["share"], ticks, str(ABOUT["margins"]))


def _calibration(bins: Sequence[Bin]) -> str:
    if not bins:
        return html(ABOUT["few"])
    points = [(100 * each.said, 100 * each.right) for each in bins]
    lines = [Line(ABOUT["ideal"], [(50.0, 50.0), (100.0, 100.0)], "other"), Line(ABOUT["reward"], points, "main")]
    ticks = [(value, f"{value:g}") for value in (50.0, 60.0, 75.0, 90.0, 100.0)]
    figure = chart(lines, ABOUT["said"], ABOUT["right"], ticks, str(ABOUT["calibration"]))
    return f'{figure}<p class="soft">{_counts(bins)}</p>'


def _counts(bins: Sequence[Bin]) -> str:
    return " · ".join(
        text(
            both(
                f"{100 * b.low:.0f}–{100 * b.high:.0f} %: {b.pairs} pairs",
                f"{100 * b.low:.0f}–{100 * b.high:.0f} %：{b.pairs} 对",
            )
        )
        for b in bins
    )
