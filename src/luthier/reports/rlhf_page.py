"""A pipeline of stages as a page: what each gained, what it cost, and what each wrote to the same prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from luthier.core.phrases import Phrase, say
from luthier.evals.health import by_rollout
from luthier.io.metrics_file import read_metrics
from luthier.reports.plain_page import both, text, write
from luthier.reports.svg import STYLE, Line, chart

PAGE = "report.html"
TITLE = both("From imitation to a policy that learned from rewards", "从模仿到从奖励中学习的策略")
STAGES, SAMPLES = both("Stages", "各阶段"), both("The same prompts, stage by stage", "相同的提示，逐个阶段")
COLUMNS = (
    both("stage", "阶段"), both("judged", "评判"), both("gain on the one before", "相对前一阶段的增益"),
    both("the same without length", "去除长度影响后"), both("wins, %", "胜率（%）"),
    both("KL, nats an answer", "KL（每个回答，nat）"), both("tokens", "词元数"),
)  # fmt: skip
LOOK = (both("prompt", "提示"), both("answer", "回答"), both("reward", "奖励"), both("judged", "评判"))
CURVE = both("Reward against distance", "奖励与距离")
AWAY, EARNED = both("nats an answer from the start", "与起点的距离（每个回答，nat）"), both("reward, mean", "平均奖励")
UNTUNED = both("untuned", "未训练")


def write_page(folder: Path, report: Mapping[str, Any]) -> Path:
    """Write the page of a finished pipeline. Raises OSError."""
    judge, (prompts, each, warm) = report["judge"], (report[key] for key in ("prompts", "answers", "temperature"))
    about = [
        both(
            f"{prompts} held-out prompts, {each} answers each, temperature {warm:g}",
            f"{prompts} 个留出的提示，每个 {each} 个回答，温度 {warm:g}",
        )
    ]
    if "accuracy" in judge:
        share = _around(100 * judge["accuracy"], 100 * (judge["accuracy_se"] or 0), 1)
        about.append(
            both(f"the judge tells {share} % of held-out pairs right", f"评判模型在留出的成对回答上正确 {share} %")
        )
    about += [_said(line) for stage in report["stages"] if (line := preferred(stage))]
    facts = "".join(f"<li>{text(fact)}</li>" for fact in about)
    body = f"""<ul class="findings">{facts}</ul>
<h2>{text(STAGES)}</h2>
{_table(report)}
{"".join(map(_look_at, report["stages"]))}
{"".join(_curve(folder / "stages" / s["name"], s["name"]) for s in report["stages"])}
<h2>{text(SAMPLES)}</h2>
{"".join(map(_sample, report["samples"]))}"""
    write(folder / PAGE, TITLE, TITLE, body, (STYLE,), wide=True)
    return folder / PAGE


def audited(stage: Mapping[str, Any]) -> Phrase | None:
    """Where its reward and the judge disagree, in plain words."""
    found = stage.get("audit")
    if not found:
        return None
    return say(
        "rlhf_audit_falls" if found["falls"] else "rlhf_audit_flat", stage=stage["name"], before=stage["before"],
        reward=f"{found['reward_gain']:+.3f}", judged=f"{stage['gain']:+.3f} ± {1.96 * stage['gain_se']:.3f}",
        answers=len(found["answers"]),
    )  # fmt: skip


def preferred(stage: Mapping[str, Any]) -> Phrase | None:
    """What people say of it, in plain words."""
    if not (found := stage.get("people")):
        return None
    error = found["win_rate_se"]
    share = f"{100 * found['win_rate']:.1f}" + (f" ± {196 * error:.1f}" if error is not None else "")
    return say(
        "rlhf_people",
        stage=stage["name"],
        before=stage["before"],
        share=share,
        labels=found["labels"],
        machine=found["machine"],
    )


def _said(phrase: Phrase) -> Phrase:
    """Of the catalogue, which a plain page does not carry."""
    return both(phrase.text(), phrase.text("zh"))


def _around(value: float, error: float, places: int) -> str:
    return f"{value:.{places}f} ± {1.96 * error:.{places}f}"


def _table(report: Mapping[str, Any]) -> str:
    head = "".join(f'<th scope="col">{text(column)}</th>' for column in COLUMNS)
    untuned = report["untuned"]
    rows = [[text(UNTUNED), f"{untuned['judged']:.3f}", "", "", "", "", f"{untuned['length']:.0f}"]]
    for stage in report["stages"]:
        if stage["gain"] is None:
            share = _around(100 * stage["accuracy"], 100 * (stage["accuracy_se"] or 0), 1)
            said = both(f"{share} % of held-out pairs told right", f"留出的成对回答判断正确 {share} %")
            rows.append([text(stage["name"]), text(said), "", "", "", "", ""])
            continue
        rows.append(
            [
                text(stage["name"]), f"{stage['judged']:.3f}", _around(stage["gain"], stage["gain_se"], 3),
                _around(stage["gain_without_length"], stage["gain_without_length_se"], 3),
                f"{100 * stage['win_rate']:.1f}", f"{stage['kl']:.2f}", f"{stage['length']:.0f}",
            ]
        )  # fmt: skip
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table class="keys"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _look_at(stage: Mapping[str, Any]) -> str:
    """The answers to look at, where reward and judge disagree."""
    if (said := audited(stage)) is None:
        return ""
    head = "".join(f'<th scope="col">{text(column)}</th>' for column in LOOK)
    rows = "".join(
        f"<tr><td>{text(a['prompt'])}</td><td>{text(a['answer'])}</td><td>{a['reward']:.3f}</td>"
        f"<td>{a['judged']:.3f}</td></tr>"
        for a in stage["audit"]["answers"]
    )
    table = f'<table class="keys"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f"<p>{text(_said(said))}</p>{table}"


def _curve(folder: Path, name: str) -> str:
    """Reward against the distance that it cost, rollout by rollout."""
    found = sorted((r["kl"], r["reward"]) for r in by_rollout(read_metrics(folder / "metrics.jsonl")))
    if len(found) < 2:
        return ""
    points = [(float(x), float(y)) for x, y in found]
    ticks = [(x, f"{x:.2g}") for x in sorted({points[0][0], points[len(points) // 2][0], points[-1][0]})]
    figure = chart([Line(both(name, name), points, "main")], AWAY, EARNED, ticks, str(CURVE))
    return f"<h2>{text(CURVE)}: {text(name)}</h2>{figure}"


def _sample(sample: Mapping[str, Any]) -> str:
    answers: Sequence[tuple[str, Any]] = list(sample["answers"].items())
    rows = "".join(
        f"<tr><td>{text(_called(name))}</td><td>{text(said['answer'])}</td><td>{said['judged']:.3f}</td></tr>"
        for name, said in answers
    )
    return f'<h3>{text(sample["prompt"])}</h3><table class="keys samples"><tbody>{rows}</tbody></table>'


def _called(name: str) -> Phrase | str:
    return UNTUNED if name == "untuned" else name
