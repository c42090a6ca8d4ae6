"""How LoRA's two matrices begin: four starts, their gradients step by step, and how far from the base they are.

A and B begin random or at zero. Shown for each of the four starts: the norm of A's and B's gradient at steps 1 to 5,
the training loss, the largest difference of a logit from the base's before the first step and after the last, and the
loss on the test rows with its interval. Training is the usual one, under an equal budget.

Example: luthier study lora-init mine.jsonl --budget 3m --seeds 2
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.phrases import Phrase, both
from luthier.patches.lora import Lora
from luthier.study import charts
from luthier.study.compared import Compared, bounds, verdict
from luthier.study.finding import Cell, Claim, Finding, Table, joined
from luthier.study.study import Arm, Measured, OnModel, Study

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM
    from luthier.study.bench import Bench, Session

NAMES = {
    "gauss_zero": both("A random, B zero", "A 随机，B 为零"),
    "gauss_gauss": both("both random", "两者随机"),
    "zero_zero": both("both zero", "两者为零"),
    "zero_gauss": both("A zero, B random", "A 为零，B 随机"),
}
STEPS = 5
ROWS = 16  # validation rows whose logits are compared
SAME = 1e-5  # a logit that differs by less differs by rounding


@dataclass(frozen=True)
class Watched(Lora):
    """LoRA that writes down the norms of its gradients before each step."""

    norms: list[tuple[float, float]] = field(default_factory=list, compare=False, repr=False)

    def before_step(self, lm: TrainableLM, progress: float) -> None:
        found = {".a": 0.0, ".b": 0.0}
        for name, p in lm.model.named_parameters():
            if p.grad is not None and name[-2:] in found:
                found[name[-2:]] += float(p.grad.double().square().sum())
        self.norms.append((found[".a"] ** 0.5, found[".b"] ** 0.5))


def gradients(patch: Watched, session: Session) -> list[list[float]]:
    """[A's, B's] gradient norms at the first steps, as they were before clipping."""
    out: list[list[float]] = [[], []]
    for norms, report in list(zip(patch.norms, session.reports, strict=True))[:STEPS]:
        seen = (norms[0] ** 2 + norms[1] ** 2) ** 0.5
        for values, norm in zip(out, norms, strict=True):
            values.append(norm * report.grad_norm / seen if seen else 0.0)
    return out


def distance(session: Session) -> float:
    """The largest difference from the base's of any logit, over places where an answer is read.

    Of any hidden state there, where the objective has a label head: that begins at zero and would hide everything.
    """
    import torch

    from luthier.data.pack import micro_batches, pack

    data, work = session.bench.data, session.work
    examples, far = session.encoded((data.validation or data.train)[:ROWS]), 0.0
    weights = session.loop.objective.divisors(examples)
    with torch.no_grad():
        for part in micro_batches(examples, session.loop.training.micro_tokens):
            batch = pack(part, weights, work.device)
            found = _read(work, batch)
            with session.patch.off(work):
                far = max(far, float((found - _read(work, batch)).abs().max()))
    return far


def _read(work: TrainableLM, batch: Any) -> Any:
    hidden = work.read(batch)
    return (work.head.logits(hidden) if work.label_head is None else hidden).float()


@dataclass(frozen=True)
class LoraInit(Study):
    """rank: of the update. rate: of learning, LoRA's own middle unless given."""

    rank: int = 8
    rate: float | None = None

    title: ClassVar[Phrase] = both("How LoRA begins", "LoRA 的初始化")
    budget: ClassVar[str] = "3m"
    least: ClassVar[int] = STEPS

    def arms(self, lm: TrainableLM) -> tuple[list[Arm], list[Phrase]]:
        return [Arm(name, {"rank": self.rank, "start": name}, rate=self.rate) for name in NAMES], []

    def measure(self, bench: Bench, arm: Arm, seed: int) -> Measured:
        patch = Watched(**arm.options)
        with bench.session(arm, seed, patch) as session:
            first, before = distance(session), {n: p.detach().clone() for n, p in session.loop.executor.masters.items()}
            session.train()
            moved = max(
                float((p.detach() - before[n]).abs().max())
                for n, p in session.loop.executor.masters.items()
                if n.endswith((".a", ".b"))
            )
            last = distance(session)
            a, b = gradients(patch, session)
            return {**session.measured(), "distance": [first, last], "moved": moved, "a": a, "b": b}

    def finding(self, models: Sequence[OnModel]) -> Finding:
        on = models[0]
        found = Compared.of(on)
        claims = [*_textbook(on), *_converse(on, found)]
        pictures = [_gradient_chart(on, "a"), _gradient_chart(on, "b"), _loss_chart(on)]
        return Finding(
            _sentence(on, found),
            claims,
            [_outcomes(on, found), _gradient_table(on)],
            pictures,
            [
                both(
                    "Gradient norms are those before clipping, over all of A or all of B; means over seeds.",
                    "梯度范数是裁剪之前的、全部 A 或全部 B 的范数；取各种子的均值。",
                )
            ],
        )


def _mean(on: OnModel, name: str, key: str, at: int) -> float:
    runs = on.runs[name]
    return float(sum(run[key][at] for run in runs)) / len(runs)


def _textbook(on: OnModel) -> list[Claim]:
    """The three statements that need no statistics: they hold in every run or they do not."""
    source, out = "Hu et al. 2021", []
    if runs := on.runs.get("zero_zero"):
        still = all(not any(r["a"]) and not any(r["b"]) and r["moved"] == 0 for r in runs)
        says = both("Both at zero: no gradient ever reaches A or B.", "两者都为零：A 和 B 始终得不到梯度。")
        out.append(Claim(says, source, "agrees" if still else "differs"))
    if runs := on.runs.get("gauss_gauss"):
        away = all(r["distance"][0] > SAME for r in runs)
        says = both(
            "Both random: the model differs from the base before the first step.",
            "两者随机：第一步之前模型就已偏离底座。",
        )
        out.append(Claim(says, source, "agrees" if away else "differs"))
    if runs := on.runs.get("gauss_zero"):
        usual = all(_first(r["a"]) == _first(r["b"]) + 1 and r["distance"][0] <= SAME for r in runs)
        says = both(
            "The usual start is the base itself, and A has no gradient at step 1: its first comes a step after B's.",
            "通常的初始化就是底座本身；A 在第 1 步没有梯度，比 B 晚一步才有。",
        )
        out.append(Claim(says, source, "agrees" if usual else "differs"))
    return out


def _first(norms: Sequence[float]) -> int:
    """The first step that has a gradient, counted from 0; one past the last where none has."""
    return next((at for at, norm in enumerate(norms) if norm), len(norms))


def _converse(on: OnModel, found: Compared) -> list[Claim]:
    if not {"zero_gauss", "gauss_zero"} <= on.runs.keys():
        return []
    gap = found.boot.difference("zero_gauss", "gauss_zero")
    says = both(
        "A at zero and B random is stable but learns more slowly than the usual start.",
        "A 为零、B 随机是稳定的，但比通常的初始化学得慢。",
    )
    return [Claim(says, "Hayou et al. 2024", verdict(gap))]


def _sentence(on: OnModel, found: Compared) -> Phrase:
    parts = []
    if "zero_zero" in on.runs:
        moved = max(run["moved"] for run in on.runs["zero_zero"])
        parts.append(
            both("both at zero never moves", "两者为零时从不移动")
            if moved == 0
            else both(f"both at zero moved by {moved:.2g}", f"两者为零时移动了 {moved:.2g}")
        )
    if "gauss_gauss" in on.runs:
        far = _mean(on, "gauss_gauss", "distance", 0)
        parts.append(
            both(
                f"both random is off the base before the first step (a logit by up to {far:.2g})",
                f"两者随机时在第一步之前就偏离底座（某个 logit 最多差 {far:.2g}）",
            )
        )
    if {"zero_gauss", "gauss_zero"} <= on.runs.keys():
        gap = found.boot.difference("zero_gauss", "gauss_zero")
        parts.append(
            both(
                f"A zero with B random ends {bounds(gap)} nats from the usual start"
                + ("" if gap.excludes_zero else ", which is not distinguishable"),
                f"A 为零、B 随机与通常初始化最终相差 {bounds(gap)} nat" + ("" if gap.excludes_zero else "，无法区分"),
            )
        )
    text = joined(parts, ("; ", "；"))
    english = text.text("en")
    return both(english[:1].upper() + english[1:] + ".", text.text("zh") + "。")


def _outcomes(on: OnModel, found: Compared) -> Table:
    more = {}
    for name in on.runs:
        moved = sum(run["moved"] for run in on.runs[name]) / len(on.runs[name])
        more[name] = [f"{_mean(on, name, 'distance', 0):.3g}", f"{_mean(on, name, 'distance', 1):.3g}", f"{moved:.2g}"]
    heads = (
        both("Off the base at step 0", "第 0 步偏离底座"),
        both("After training", "训练之后"),
        both("Largest step of a weight", "权重的最大移动"),
    )
    table = found.table(both("What each start comes to", "各种初始化的结果"), more, heads)
    rows: list[list[Cell]] = [[NAMES[str(first)], *rest] for first, *rest in table.rows]
    return replace(table, rows=rows)


def _gradient_table(on: OnModel) -> Table:
    columns = [both("Gradient of", "梯度"), *(both(f"step {i + 1}", f"第 {i + 1} 步") for i in range(STEPS))]
    rows: list[list[Cell]] = []
    for name in on.runs:
        for key in ("a", "b"):
            label = both(f"{key.upper()}: {NAMES[name].text('en')}", f"{key.upper()}：{NAMES[name].text('zh')}")
            rows.append([label, *(f"{_mean(on, name, key, at):.3g}" for at in range(STEPS))])
    return Table(both("Gradient norms", "梯度范数"), columns, rows)


def _gradient_chart(on: OnModel, key: str) -> dict[str, Any]:
    """Gradient norms by step on a logarithmic axis that has a place for zero."""
    values = {name: [_mean(on, name, key, at) for at in range(STEPS)] for name in on.runs}
    heights, ticks, texts = charts.with_zero([v for one in values.values() for v in one])
    drawn = []
    for i, (name, one) in enumerate(values.items()):
        at = heights[i * STEPS : (i + 1) * STEPS]
        drawn.append(charts.line(NAMES[name], range(1, STEPS + 1), at, [f"{v:.3g}" for v in one]))
    big = key.upper()
    zero = [NAMES[n] for n, one in values.items() if one[0] == 0]
    said = joined(zero, (", ", "、"))
    summary = both(f"Zero at step 1: {said.text('en') or 'none'}.", f"第 1 步为零：{said.text('zh') or '无'}。")
    chart = charts.lines(
        both(f"Gradient of {big}", f"{big} 的梯度"),
        drawn,
        both("Step", "步"),
        both("Norm (0 has a place of its own)", "范数（0 单独占一格）"),
        [summary],
    )
    chart["y"] |= {"ticks": ticks, "texts": texts}
    return chart


def _loss_chart(on: OnModel) -> dict[str, Any]:
    drawn = []
    for name, runs in on.runs.items():
        count = min(len(run["curve"]) for run in runs)
        losses = [sum(run["curve"][i][2] for run in runs) / len(runs) for i in range(count)]
        steps = [runs[0]["curve"][i][0] for i in range(count)]
        drawn.append(charts.line(NAMES[name], steps, losses, [f"{v:.3f}" for v in losses]))
    ends = [(NAMES[n], runs[0]["curve"][0][2], runs[0]["curve"][-1][2]) for n, runs in on.runs.items()]
    english = "; ".join(f"{n.text('en')}: {first:.2f} to {last:.2f}" for n, first, last in ends)
    chinese = "；".join(f"{n.text('zh')}：{first:.2f} 到 {last:.2f}" for n, first, last in ends)
    summary = both(f"First to last step, seed 0: {english}.", f"种子 0 从第一步到最后一步：{chinese}。")
    return charts.lines(
        both("Training loss", "训练损失"),
        drawn,
        both("Step", "步"),
        both("Loss, nats", "损失（nat）"),
        [summary],
        marks=False,
    )


STUDY = LoraInit
