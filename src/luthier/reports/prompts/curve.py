"""Quality against length: the same rows with shorter and shorter inputs, words chosen by information or at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from luthier.core.phrases import Phrase
from luthier.core.records import Record
from luthier.core.split import Split
from luthier.data.prompts import question_and_answer
from luthier.data.templates.files import shared_instruction
from luthier.direct.wording_search.scorer import score, unit
from luthier.prompt_search.compress import compress
from luthier.prompt_search.robust import with_text
from luthier.reports.plain_page import both, text
from luthier.reports.prompts import page
from luthier.reports.svg import Line, chart

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM

WAYS = ("least informative first", "at random")
WAYS_ZH = ("先去掉信息最少的", "随机去掉")


def curve(
    lm: TrainableLM, data: Split, rows: Sequence[Record], keeps: Sequence[float], how: str, seed: int,
    say: Callable[[int, int], None],
) -> dict[str, Any]:  # fmt: skip
    """Mean score at each length, with intervals over rows; an instruction that all rows begin with is not shortened."""
    from luthier.evals.bootstrap import Bootstrap

    instruction = shared_instruction(data)
    template = lm.wordings(data.labels)[0]
    points: list[dict[str, Any]] = []
    scores: dict[str, list[float]] = {"whole": score(lm, template, data, rows, how)}
    steps = [(way, keep) for way in WAYS for keep in keeps]
    for at, (way, keep) in enumerate(steps):
        rng = np.random.default_rng([seed, 23])
        order = None if way == WAYS[0] else rng
        short = [with_text(r, lambda t, o=order, k=keep: compress(lm, t, k, o), instruction) for r in rows]  # type: ignore[misc]
        scores[f"{way} {keep}"] = score(lm, template, data, short, how)
        tokens = [_tokens(lm, r, instruction) for r in short]
        points.append({"way": way, "keep": keep, "tokens": float(np.mean(tokens)),
                       "shown": question_and_answer(short[0])[0].removeprefix(instruction)})  # fmt: skip
        say(at + 1, len(steps))
    bootstrap = Bootstrap({name: [values] for name, values in scores.items()})
    for point in points:
        name = f"{point['way']} {point['keep']}"
        own, lost = bootstrap.score(name), bootstrap.difference(name, "whole")
        point |= {"score": own.value, "ci95": [own.low, own.high], "change": lost.value,
                  "change_ci95": [lost.low, lost.high]}  # fmt: skip
    whole = bootstrap.score("whole")
    return {
        "measure": unit(data, how), "rows": len(rows), "whole": whole.value, "whole_ci95": [whole.low, whole.high],
        "tokens": float(np.mean([_tokens(lm, r, instruction) for r in rows])), "points": points,
        "shown": question_and_answer(rows[0])[0].removeprefix(instruction),
    }  # fmt: skip


def _tokens(lm: TrainableLM, record: Record, instruction: str) -> int:
    own = question_and_answer(record)[0].removeprefix(instruction)
    return len(lm.tokenizer(own, add_special_tokens=False)["input_ids"])


def spoken(result: dict[str, Any]) -> list[Phrase]:
    """The result in lines."""
    result = _in_points(result)
    low, high = result["whole_ci95"]
    measure, rows, whole = page.measured(result["measure"]), result["rows"], f"{result['whole']:.4g}"
    lines = [both(
        f"{measure} on {rows} rows; whole, {result['tokens']:.0f} tokens: {whole} (95 % {low:.4g} to {high:.4g})",
        f"{measure.text('zh')}，{rows} 行；全文 {result['tokens']:.0f} 个词元：{whole}（95 % {low:.4g} 到 {high:.4g}）",
    )]  # fmt: skip
    for p in result["points"]:
        low, high = p["change_ci95"]
        zh = WAYS_ZH[WAYS.index(p["way"])]
        lines.append(both(
            f"{p['keep']:.0%} kept, {p['way']}: {p['tokens']:.0f} tokens, {p['score']:.4g}, change {p['change']:+.4g} "
            f"(95 % {low:+.4g} to {high:+.4g})",
            f"保留 {p['keep']:.0%}，{zh}：{p['tokens']:.0f} 个词元，{p['score']:.4g}，变化 {p['change']:+.4g}"
            f"（95 % {low:+.4g} 到 {high:+.4g}）",
        ))  # fmt: skip
    return lines


def write_page(path: Path, title: Phrase, result: dict[str, Any]) -> None:
    """The curve as a chart and a table, and the first row at every length."""
    told, result = spoken(result), _in_points(result)
    whole = (100.0, result["whole"], *result["whole_ci95"])
    lines = [
        Line(
            both(way, zh),
            sorted([*((100 * p["keep"], p["score"], *p["ci95"]) for p in result["points"] if p["way"] == way), whole]),
            kind,
        )
        for way, zh, kind in zip(WAYS, WAYS_ZH, ("main", "other"), strict=True)
    ]
    keeps = sorted({p["keep"] for p in result["points"]} | {1.0})
    across, up = both("share of tokens kept, %", "保留的词元比例（%）"), page.measured(result["measure"])
    drawing = chart(lines, across, up, [(100 * k, f"{k:.0%}") for k in keeps], str(told[0]))
    items = "".join(f"<li>{text(line)}</li>" for line in told)
    shown = "".join(_shortened(p) for p in result["points"] if p["way"] == WAYS[0])
    heading, first = both("Quality against length", "质量与长度"), both("The first row", "第一行")
    body = (
        f'<h2>{text(heading)}</h2>\n{drawing}\n<ul class="facts">{items}</ul>\n<h2>{text(first)}</h2>\n'
        f'<ul class="tree"><li><span class="facts">{text(both("whole", "全文"))}</span>'
        f'<pre dir="auto">{text(result["shown"])}</pre></li>{shown}</ul>'
    )
    page.write(path, title, body)


def _shortened(point: dict[str, Any]) -> str:
    keep = f"{point['keep']:.0%}"
    head = text(both(f"{keep} kept", f"保留 {keep}"))
    return f'<li><span class="facts">{head}</span><pre dir="auto">{text(point["shown"])}</pre></li>'


def _in_points(result: dict[str, Any]) -> dict[str, Any]:
    """The result with its scores in the unit of the measure."""
    by = page.times(result["measure"])

    def scaled(found: dict[str, Any]) -> dict[str, Any]:
        kept = ("whole", "whole_ci95", "score", "ci95", "change", "change_ci95")
        more = {k: [by * x for x in v] if isinstance(v, list) else by * v for k, v in found.items() if k in kept}
        return found | more

    return scaled(result) | {"points": [scaled(p) for p in result["points"]]}
