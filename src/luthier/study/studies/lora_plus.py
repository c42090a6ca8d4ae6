"""LoRA+: how much faster B may learn than A, by the training it takes to reach the quality of plain LoRA.

Ratios of the learning rates of B and A from 1 (plain LoRA) to 32, their geometric mean held: lr(A) = rate / √ratio,
lr(B) = rate · √ratio. Plain LoRA also trains at a larger rate, since in its first steps a larger ratio is little else;
the better of its runs, by validation loss, is the reference. The loss on validation rows is taken along the way; a
ratio's time is the share of the reference's training after which it reaches the loss that the reference ends with. The
paper's argument is about width, so give two models of different widths; with one the page says that width did not vary.

Example: luthier study lora-plus mine.jsonl --model embedded --model path/to/wider --budget 10m
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase, both
from luthier.evals import formatting
from luthier.evals.bootstrap import Interval
from luthier.study import charts
from luthier.study.compared import Compared
from luthier.study.finding import Cell, Claim, Finding, Table, Verdict, joined
from luthier.study.reaching import Array, Looks, resampled, times
from luthier.study.study import Arm, Measured, OnModel, Study

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM
    from luthier.study.bench import Bench

ROWS = 24  # validation rows that are looked at along the way


def spoken(found: Interval) -> Cell:
    """0.48 (0.35 … 0.71) of plain LoRA's training; "not reached" where it never comes to that loss."""
    if math.isinf(found.low):
        return both("not reached", "未达到")
    if math.isinf(found.value):
        return both(f"not reached ({_number(found.low)} …)", f"未达到（{_number(found.low)} …）")
    return f"{found.value:.2f} ({_number(found.low)} … {_number(found.high)})"


def _number(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.2f}"


def reference(on: OnModel) -> str | None:
    """Plain LoRA at the rate with the lowest validation loss at the end; None where none of its runs succeeded."""
    plain = [name for name in on.runs if on.arm(name).facts["plain"]]
    return min(plain, key=lambda name: float(resampled(on.runs[name])[1][-1]), default=None)


@dataclass(frozen=True)
class LoraPlus(Study):
    """ratios: of the rates of B and A. plain: LoRA's own rates, in units of `rate`. looks: at validation rows.

    rate: geometric mean of both rates, LoRA's own middle unless given.
    """

    ratios: tuple[float, ...] = (2.0, 4.0, 8.0, 16.0, 32.0)
    plain: tuple[float, ...] = (1.0, 4.0)
    rank: int = 8
    rate: float | None = None
    looks: int = 8

    title: ClassVar[Phrase] = both("LoRA+: B learns faster than A", "LoRA+：B 比 A 学得快")
    budget: ClassVar[str] = "5m"

    def arms(self, lm: TrainableLM) -> tuple[list[Arm], list[Phrase]]:
        from luthier.patches.lora import Lora

        rate = self.rate or Lora.learning_rates[len(Lora.learning_rates) // 2]
        options = {"rank": self.rank}
        arms = [
            Arm("LoRA" + f" rate {m:g}x" * (m != 1), options, "lora", rate * m, {"ratio": 1.0, "plain": True})
            for m in self.plain
        ]
        arms += [
            Arm(f"ratio {q:g}", {**options, "ratio": q}, "lora_plus", rate / q**0.5, {"ratio": q, "plain": False})
            for q in sorted(self.ratios)
        ]
        mean = both(
            f"The geometric mean of both learning rates is {rate:g} at every ratio.",
            f"在每个比例下，两个学习率的几何平均都是 {rate:g}。",
        )
        return arms, [mean]

    def measure(self, bench: Bench, arm: Arm, seed: int) -> Measured:
        with bench.session(arm, seed) as session:
            data = bench.data
            looks = Looks(session.encoded((data.validation or data.train)[:ROWS]), self.looks)
            looks.look(session.loop, 0.0)
            session.train(looks)
            return {**session.measured(), "looks": [list(look) for look in looks.seen]}

    def finding(self, models: Sequence[OnModel]) -> Finding:
        found = [(on, *times(on, plain)) for on in models if (plain := reference(on))]
        if not found:
            raise LuthierError("no run of plain LoRA succeeded, and the ratios are held against it")
        usable = [on for on, _, _ in found]
        tables = [_table(on, Compared.of(on), share) for on, share, _ in found]
        pictures = [_by_ratio(on, share) for on, share, _ in found if share] + [_progress(on) for on, _, _ in found]
        sentence = joined([_sentence(on, share) for on, share, _ in found])
        widths = {on.width for on in usable}
        if len(widths) < 2:
            one = both(
                f"Only one width was measured ({min(widths)}): whether the gain grows with width was not tested; give "
                f"--model twice.",
                f"只测量了一种宽度（{min(widths)}）：增益是否随宽度增大没有检验；请给出两次 --model。",
            )
            sentence = joined([sentence, one])
        rule = both(
            "A ratio's time is where its validation loss first comes down to that with which plain LoRA, at the better "
            "of its rates, ends.",
            "某个比例的时间，是它的验证损失首次降到普通 LoRA（取较好的学习率）最终损失之处。",
        )
        return Finding(sentence, _claims(found), tables, pictures, [*(n for on in usable for n in on.notes), rule])


def _sentence(on: OnModel, share: dict[str, Interval]) -> Phrase:
    who, zh = f"On {on.name} (width {on.width})", f"在 {on.name}（宽度 {on.width}）上"
    if not share:
        return both(
            f"{who} plain LoRA's validation loss did not come down: the budget is too small to compare times.",
            f"{zh}，普通 LoRA 的验证损失没有下降：预算太小，无法比较时间。",
        )
    others = [n for n in share if not on.arm(n).facts["plain"]]
    faster = [n for n in others if share[n].high < 1]
    slower = [n for n in others if share[n].low > 1]
    best = min(faster or others, key=lambda n: share[n].value, default="")
    needs = spoken(share[best]) if best else formatting.DASH
    reached = bool(best) and not math.isinf(share[best].value)
    text = both(f"{who}, no ratio is surely faster than plain LoRA.", f"{zh}，没有哪个比例确定快于普通 LoRA。")
    if faster:
        text = both(
            f"{who}, {best} reaches plain LoRA's loss after {needs} of its training.",
            f"{zh}，{best} 用普通 LoRA {needs} 的训练量达到它的损失。",
        )
    elif reached:
        more = both(f"The best, {best}, needs {needs} of its training.", f"最好的 {best} 需要它 {needs} 的训练量。")
        text = joined([text, more])
    elif best:
        text = joined([text, both("None came to its loss.", "没有一个达到它的损失。")])
    if slower and reached:
        text = joined([text, both(f"Surely slower: {', '.join(slower)}.", f"确定更慢：{'、'.join(slower)}。")])
    return text


def _claims(found: Sequence[tuple[OnModel, dict[str, Interval], dict[str, Array]]]) -> list[Claim]:
    source, out = "Hayou et al. 2024", []
    for on, share, _ in found:
        high = [n for n in share if on.arm(n).facts["ratio"] >= 4]
        if not high:
            continue
        near = min(high, key=lambda n: abs(math.log(on.arm(n).facts["ratio"] / 16)))
        gap = share[near]
        reached: Verdict = "agrees" if gap.high < 1 else "differs" if gap.low > 1 else "open"
        if reached == "differs" and _larger(on, near):
            reached = "open"  # plain LoRA was helped by a larger rate, which the ratio was not tried at
        says = both(
            f"{on.name}: {near} reaches plain LoRA's quality sooner (the paper: up to twice as fast).",
            f"{on.name}：{near} 更早达到普通 LoRA 的质量（论文：最多快一倍）。",
        )
        out.append(Claim(says, source, reached))
    if len(found) > 1 and all(kept for _, _, kept in found) and out:
        out.append(_width_claim(found, source))
    return out


def _larger(on: OnModel, name: str) -> bool:
    """Whether the better of plain LoRA's rates is above the geometric mean that a ratio was tried at."""
    plain = reference(on)
    middle = on.runs[name][0]["rate"] * math.sqrt(on.arm(name).facts["ratio"])
    return plain is not None and on.runs[plain][0]["rate"] > 1.01 * middle


def _width_claim(found: Sequence[tuple[OnModel, dict[str, Interval], dict[str, Array]]], source: str) -> Claim:
    narrow, wide = min(found, key=lambda f: f[0].width), max(found, key=lambda f: f[0].width)
    shared = [n for n in narrow[2] if n in wide[2]]
    near = min(shared, key=lambda n: abs(math.log(narrow[0].arm(n).facts["ratio"] / 16)))
    a, b = np.minimum(narrow[2][near], 1e6), np.minimum(wide[2][near], 1e6)
    low, high = np.percentile(np.log(np.maximum(b, 1e-6)) - np.log(np.maximum(a, 1e-6)), [2.5, 97.5])
    same = narrow[0].width == wide[0].width
    verdict: Verdict = "open" if same or low <= 0 <= high else "agrees" if high < 0 else "differs"
    says = both(
        f"The gain at {near} is larger on the wider model ({narrow[0].width} and {wide[0].width}).",
        f"{near} 的增益在更宽的模型上更大（{narrow[0].width} 与 {wide[0].width}）。",
    )
    return Claim(says, source, verdict)


def _table(on: OnModel, found: Compared, share: dict[str, Interval]) -> Table:
    more: dict[str, Sequence[Cell]] = {}
    for name, runs in on.runs.items():
        rate, ratio = runs[0]["rate"], on.arm(name).facts["ratio"]
        cells: list[Cell] = [formatting.DASH] * 3
        if name in share:
            part = share[name].value
            counts = [part * on.tokens, part * sum(r["steps"] for r in runs) / len(runs)]
            cells = [spoken(share[name]), *(formatting.DASH if math.isinf(c) else f"{c:.0f}" for c in counts)]
        more[name] = [*cells, formatting.rate(rate), formatting.rate(rate * ratio)]
    heads = (
        both("Time to equal quality", "达到同等质量的时间"),
        both("in tokens", "词元数"),
        both("in steps", "步数"),
        both("lr(A)", "lr(A)"),
        both("lr(B)", "lr(B)"),
    )
    title = both(f"{on.name}, width {on.width}: by ratio", f"{on.name}，宽度 {on.width}：按比例")
    return found.table(title, more, heads)


def _by_ratio(on: OnModel, share: dict[str, Interval]) -> dict[str, Any]:
    kept = {n: s for n, s in share.items() if n == reference(on) or not on.arm(n).facts["plain"]}
    kept = {n: s for n, s in kept.items() if not math.isinf(s.value)}
    top = max(max(s.value for s in kept.values()), 1.5)
    x = [on.arm(n).facts["ratio"] for n in kept]
    drawn = [
        charts.line(
            on.name,
            x,
            [s.value for s in kept.values()],
            [str(spoken(s)) for s in kept.values()],
            [s.low for s in kept.values()],
            [min(s.high, 2 * top) for s in kept.values()],
        )
    ]
    return charts.lines(
        both(f"Time to equal quality, width {on.width}", f"达到同等质量的时间，宽度 {on.width}"),
        drawn,
        both("Ratio of the learning rates of B and A", "B 与 A 的学习率之比"),
        both("Share of plain LoRA's training", "占普通 LoRA 训练量的比例"),
        [_sentence(on, share)],
        log_x=True,
    )


def _progress(on: OnModel) -> dict[str, Any]:
    drawn, ends = [], []
    for name, runs in on.runs.items():
        shares, mean, _ = resampled(runs)
        drawn.append(charts.line(name, (shares * on.tokens).tolist(), mean.tolist(), [f"{v:.3f}" for v in mean]))
        ends.append(f"{name}: {mean[-1]:.2f}")
    summary = both(f"At the end, {'; '.join(ends)}.", f"结束时：{'；'.join(ends)}。")
    return charts.lines(
        both(f"Validation loss, width {on.width}", f"验证损失，宽度 {on.width}"),
        drawn,
        both("Tokens trained on", "训练的词元"),
        both("Loss, nats", "损失（nat）"),
        [summary],
    )


STUDY = LoraPlus
