"""A run that learned from rewards, as a page: how it went rollout by rollout, and what its policy wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from luthier.core.phrases import Phrase
from luthier.evals.health import by_rollout, health
from luthier.io.metrics_file import read_metrics
from luthier.io.samples_file import read_samples
from luthier.reports.plain_page import both, text, write
from luthier.reports.svg import STYLE, Line, chart

PAGE = "rollouts.html"
MOST = 80  # points of a line
TITLE = both("Learning from rewards", "从奖励中学习")
ROLLOUT = both("rollout", "第几轮采样")
CHARTS: tuple[tuple[str, Phrase], ...] = (
    ("reward", both("reward of an answer, mean", "回答的平均奖励")),
    ("kl", both("distance from the reference, nats an answer", "与参照模型的距离（每个回答，nat）")),
    ("entropy", both("entropy, nats a token", "熵（每词元，nat）")),
    ("length", both("tokens of an answer", "回答的词元数")),
    ("ended", both("share of answers that end", "正常结束的回答比例")),
    ("clipped", both("share of tokens beyond the clip", "超出裁剪范围的词元比例")),
    ("explained", both("variance that the critic explains", "价值函数解释的方差")),
)
SAMPLES = both("What it wrote", "模型写了什么")
FIRST, LAST = both("at the start", "开始时"), both("at the end", "结束时")
FINE = both("Nothing in the numbers stands out.", "各项数字没有异常。")
COLUMNS = (both("prompt", "提示"), both("answer", "回答"), both("reward", "奖励"))
CUT = both("cut short", "未写完")


def write_page(folder: Path) -> Path | None:
    """Write the page of a run folder; None where nothing was drawn in it. Raises OSError."""
    rollouts = by_rollout(read_metrics(folder / "metrics.jsonl"))
    if not rollouts:
        return None
    found = health(rollouts)
    said = "".join(f'<li class="trouble">{text(both(str(one), one.text("zh")))}</li>' for one in found)
    body = f"""<p class="soft">{text(folder.name)}</p>
<ul class="findings">{said or f"<li>{text(FINE)}</li>"}</ul>
{"".join(_figure(rollouts, name, title) for name, title in CHARTS)}
<h2>{text(SAMPLES)}</h2>
{_samples(read_samples(folder))}"""
    write(folder / PAGE, TITLE, TITLE, body, (STYLE,))
    return folder / PAGE


def _figure(rollouts: Sequence[Mapping[str, Any]], name: str, title: Phrase) -> str:
    points = [(float(r["rollout"]), float(r[name])) for r in rollouts if r.get(name) is not None]
    if not points:
        return ""
    step = -(-len(points) // MOST)
    shown = points[::step] if points[-1] in points[::step] else [*points[::step], points[-1]]
    ticks = [(x, f"{x:g}") for x in sorted({points[0][0], points[len(points) // 2][0], points[-1][0]})]
    return f"<h3>{text(title)}</h3>{chart([Line(title, shown, 'main')], ROLLOUT, title, ticks, str(title))}"


def _samples(found: Sequence[Mapping[str, Any]]) -> str:
    if not found:
        return ""
    ends = [(FIRST, found[0]), (LAST, found[-1])] if len(found) > 1 else [(FIRST, found[0])]
    return "".join(f"<h3>{text(name)}</h3>{_table(rollout['samples'])}" for name, rollout in ends)


def _table(samples: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f'<th scope="col">{text(column)}</th>' for column in COLUMNS)
    rows = "".join(
        f"<tr><td>{text(s['prompt'])}</td><td>{text(s['answer'])}"
        f"{'' if s['ended'] else f' <span class=soft>({text(CUT)})</span>'}</td><td>{s['reward']:.3g}</td></tr>"
        for s in samples
    )
    return f'<table class="keys samples"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
