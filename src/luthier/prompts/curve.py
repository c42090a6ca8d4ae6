"""Quality against length: the same rows with shorter and shorter inputs, words chosen by information or at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from luthier.data.prompts import question_and_answer
from luthier.plain_page import text
from luthier.prompts import page
from luthier.prompts.compress import compress
from luthier.prompts.robust import with_text
from luthier.prompts.scorer import score, unit
from luthier.prompts.svg import Line, chart
from luthier.prompts.wording import shared_instruction
from luthier.protocols import Record, Split

if TYPE_CHECKING:
    from luthier.models.base import BaseLM

WAYS = ("least informative first", "at random")


def curve(
    lm: BaseLM, data: Split, rows: Sequence[Record], keeps: Sequence[float], how: str, seed: int,
    say: Callable[[int, int], None],
) -> dict[str, Any]:  # fmt: skip
    """Mean score at each length, with intervals over rows; an instruction that all rows begin with is not shortened."""
    from luthier.compare.stats import Bootstrap

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


def _tokens(lm: BaseLM, record: Record, instruction: str) -> int:
    own = question_and_answer(record)[0].removeprefix(instruction)
    return len(lm.tokenizer(own, add_special_tokens=False)["input_ids"])


def spoken(result: dict[str, Any]) -> list[str]:
    """The result in lines."""
    low, high = result["whole_ci95"]
    lines = [f"{result['measure']} on {result['rows']} rows; whole, {result['tokens']:.0f} tokens: "
             f"{result['whole']:.4g} (95 % {low:.4g} to {high:.4g})"]  # fmt: skip
    for p in result["points"]:
        low, high = p["change_ci95"]
        lines.append(f"  {p['keep']:.0%} kept, {p['way']}: {p['tokens']:.0f} tokens, {p['score']:.4g}, "
                     f"change {p['change']:+.4g} (95 % {low:+.4g} to {high:+.4g})")  # fmt: skip
    return lines


def write_page(path: Path, title: str, result: dict[str, Any]) -> None:
    """The curve as a chart and a table, and the first row at every length."""
    whole = (100.0, result["whole"], *result["whole_ci95"])
    lines = [
        Line(
            way,
            [*((100 * p["keep"], p["score"], *p["ci95"]) for p in result["points"] if p["way"] == way), whole],
            kind,
        )
        for way, kind in zip(WAYS, ("main", "other"), strict=True)
    ]
    keeps = sorted({p["keep"] for p in result["points"]} | {1.0})
    told = spoken(result)
    drawing = chart(
        lines, "share of tokens kept, %", result["measure"], [(100 * k, f"{k:.0%}") for k in keeps], told[0]
    )
    items = "".join(f"<li>{text(line)}</li>" for line in told)
    shown = "".join(
        f'<li><span class="facts">{p["keep"]:.0%} kept</span><pre dir="auto">{text(p["shown"])}</pre></li>'
        for p in result["points"] if p["way"] == WAYS[0]
    )  # fmt: skip
    body = (
        f'<h2>Quality against length</h2>\n{drawing}\n<ul class="facts">{items}</ul>\n<h2>The first row</h2>\n'
        f'<ul class="tree"><li><span class="facts">whole</span><pre dir="auto">{text(result["shown"])}</pre></li>'
        f"{shown}</ul>"
    )
    page.write(path, title, body)
