"""What a study of long text found: perplexity by position, attention by layer, time and memory by length."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from luthier.core.phrases import Phrase, both
from luthier.core.window import window_of
from luthier.evals.bootstrap import Interval
from luthier.study import charts
from luthier.study.experiment import OnModel
from luthier.study.finding import Cell, Claim, Table, Verdict
from luthier.study.streaming import STRETCH

FULL, MASS, ANEW = "full", "attention", "recomputed"  # arms beside the windows
BROKEN, CLOSE, FLAT, MOST = 2.0, 1.02, 1.1, 0.5  # what the claims mean by it
XIAO = "Xiao et al. 2023"


class Found:
    """What the runs on one model say.

    Stretches before `leaves` fit into what is kept; from `ends` on the text is longer than the model's context.
    """

    def __init__(self, on: OnModel, kept: int) -> None:
        self.on, self.kept, self.stretch = on, kept, STRETCH
        self.runs = {name: runs[0] for name, runs in on.runs.items()}
        self.read = {name: run["losses"] for name, run in self.runs.items() if "losses" in run}
        self.context = next(iter(self.runs[name]["context"] for name in self.read))
        self.leaves, self.ends = -(-kept // STRETCH), self.context // STRETCH
        windows = {name: window_of(name, name) for name in self.read}
        self.sinks = {name: w.sinks for name, w in windows.items() if w is not None}

    def perplexity(self, name: str, low: int, high: int | None) -> float | None:
        """Over stretches; None where there are none."""
        part = self.read[name][low:high]
        return math.exp(min(fmean(part), 700)) if part else None

    def ratio(self, name: str) -> Interval | None:
        """Perplexity against that of the whole text, from where the window is full to where the context ends."""
        if FULL not in self.read or name == FULL:
            return None
        pairs = zip(self.read[name], self.read[FULL], strict=True)
        return _interval([a - b for a, b in list(pairs)[self.leaves : self.ends]])

    def drift(self, name: str) -> Interval | None:
        """Perplexity beyond the context against that before it, from where the window is full: other text, so that it
        need not be 1."""
        before, beyond = self.read[name][self.leaves : self.ends], self.read[name][self.ends :]
        if len(before) < 2 or len(beyond) < 2:
            return None
        error = 1.96 * math.hypot(*(stdev(part) / math.sqrt(len(part)) for part in (before, beyond)))
        middle = fmean(beyond) - fmean(before)
        return Interval(*(math.exp(min(value, 700)) for value in (middle, middle - error, middle + error)))

    @property
    def bare(self) -> str | None:
        """The window without first tokens."""
        return next((name for name, sinks in self.sinks.items() if not sinks), None)

    @property
    def chosen(self) -> str | None:
        """The window with four first tokens, or with the most where there are none with four."""
        having = [name for name, sinks in self.sinks.items() if sinks]
        return next((n for n in having if self.sinks[n] == 4), max(having, key=self.sinks.__getitem__, default=None))

    def sentence(self) -> Phrase:
        parts = [(name, self.ratio(name)) for name in (self.bare, self.chosen) if name]
        said = [(name, _spoken(ratio)) for name, ratio in parts if ratio]
        if not said:
            return both("There is nothing to compare.", "没有可比较的结果。")
        return both(
            "Perplexity against that of the whole text in sight: " + "; ".join(f"{n} {r}" for n, r in said) + ".",
            "与全文可见时困惑度之比：" + "；".join(f"{n} 为 {r}" for n, r in said) + "。",
        )

    def claims(self) -> list[Claim]:
        out: list[Claim] = []
        if self.bare and (ratio := self.ratio(self.bare)):
            text = both(
                f"The last tokens alone are not enough: perplexity is at least {BROKEN:g} times as high.",
                f"只留最后的词元不够：困惑度至少为 {BROKEN:g} 倍。",
            )
            out.append(Claim(text, XIAO, _above(ratio, BROKEN)))
        if self.chosen and (ratio := self.ratio(self.chosen)):
            text = both(
                f"With the first tokens ({self.chosen}) it is within 2 % of the whole text in sight, up to the length "
                "the model was trained for.",
                f"保留开头的词元（{self.chosen}）后，在模型训练长度以内与全文可见相差不超过 2 %。",
            )
            out.append(Claim(text, XIAO, _above(ratio, CLOSE, otherwise=True)))
        if self.chosen and (drift := self.drift(self.chosen)):
            text = both(
                f"Beyond that length {self.chosen} stays flat: within {FLAT - 1:.0%} of what it was.",
                f"超过该长度后 {self.chosen} 保持平稳：相差不超过 {FLAT - 1:.0%}。",
            )
            out.append(Claim(text, XIAO, _above(drift, FLAT, otherwise=True)))
        if MASS in self.runs and (layers := _upper(self.runs[MASS]["by_layer"])):
            share = f"{fmean(layers):.0%}"
            text = both(
                f"Above the second layer more than half of all attention goes to the first tokens (here {share}).",
                f"第二层以上，超过一半的注意力落在开头的词元上（这里为 {share}）。",
            )
            out.append(Claim(text, XIAO, "agrees" if fmean(layers) > MOST else "differs"))
        return out

    def table(self) -> Table:
        heads = [
            both("Seen", "可见"), both("Perplexity within what is kept", "保留长度以内的困惑度"),
            both("up to the context", "到上下文长度为止"), both("beyond it", "超出之后"),
            both("Against full", "与全文可见之比"), both("ms a token at the end", "末尾每词元毫秒"), both("MB", "MB"),
        ]  # fmt: skip
        rows: list[list[Cell]] = []
        for name in self.read:
            ppl = [
                self.perplexity(name, *part) for part in ((0, self.leaves), (self.leaves, self.ends), (self.ends, None))
            ]
            ratio, costs = self.ratio(name), self.runs[name]["costs"]
            last = [f"{costs[-1]['ms']:.0f}", f"{costs[-1]['size'] / 1e6:.0f}"] if costs else ["", ""]
            seen: Cell = both("full", "全文") if name == FULL else name
            rows.append([seen, *(f"{p:.4g}" if p else "" for p in ppl), _spoken(ratio) if ratio else "", *last])
        best = next((i for i, name in enumerate(self.read) if name == self.chosen), None)
        return Table(both("Perplexity and cost", "困惑度与代价"), heads, rows, best)

    def by_position(self) -> dict[str, Any]:
        drawn = []
        size = max(len(self.read[next(iter(self.read))]) // 24, 1)  # stretches of a point
        for name, losses in self.read.items():
            parts = [losses[at : at + size] for at in range(0, len(losses) - size + 1, size)]
            x = [(i + 0.5) * size * self.stretch for i in range(len(parts))]
            y = [fmean(part) for part in parts]
            title: Phrase | str = both("full", "全文") if name == FULL else name
            drawn.append(
                charts.line(title, x, y, [f"{a:.0f}: {math.exp(min(b, 700)):.3g}" for a, b in zip(x, y, strict=True)])
            )
        loss = both("Loss, nats a token", "损失，nat/词元")
        title = both("Loss by position", "各位置的损失")
        return charts.lines(title, drawn, both("Token", "词元"), loss, [self.sentence()], marks=False)

    def by_layer(self) -> list[dict[str, Any]]:
        """A chart, where attention was looked at."""
        drawn = []
        for first, shares in self.runs.get(MASS, {}).get("by_layer", {}).items():
            layers = [float(i + 1) for i in range(len(shares))]
            says = [f"{i + 1}: {share:.0%}" for i, share in enumerate(shares)]
            drawn.append(charts.line(both(f"first {first}", f"前 {first} 个"), layers, [100 * s for s in shares], says))
        if not drawn:
            return []
        layers = _upper(self.runs[MASS]["by_layer"]) or [0.0]
        text = both(
            f"Above the second layer {fmean(layers):.0%} on average.", f"第二层以上平均为 {fmean(layers):.0%}。"
        )
        return [charts.lines(
            both("Attention on the first tokens", "落在开头词元上的注意力"), drawn, both("Layer", "层"),
            both("Share of attention, %", "注意力占比，%"), [text],
        )]  # fmt: skip

    def by_length(self) -> list[dict[str, Any]]:
        """Time and memory of a token, where any were taken."""
        shown = [name for name in (FULL, self.chosen) if name and self.runs.get(name, {}).get("costs")]
        if not shown:
            return []
        made = []
        anew = self.runs.get(ANEW, {}).get("ms")
        for key, scale, unit, title in (
            ("ms", 1.0, "ms", both("Time of a token by length", "每词元时间与长度")),
            ("size", 1e-6, "MB", both("Memory by length", "内存与长度")),
        ):
            drawn = []
            for name in shown:
                costs = self.runs[name]["costs"]
                x, y = [c["tokens"] for c in costs], [scale * c[key] for c in costs]
                label: Phrase | str = both("full", "全文") if name == FULL else name
                drawn.append(charts.line(label, x, y, [f"{a}: {b:.3g} {unit}" for a, b in zip(x, y, strict=True)]))
            tail = f"; {self.kept} tokens read anew for each: {anew:.0f} ms" if anew and key == "ms" else ""
            tail_zh = f"；每次重读 {self.kept} 个词元：{anew:.0f} 毫秒" if anew and key == "ms" else ""
            ends = [f"{n} {scale * self.runs[n]['costs'][-1][key]:,.0f} {unit}" for n in shown]
            summary = both(
                "At the longest: " + ", ".join(ends) + tail + ".", "最长时：" + "，".join(ends) + tail_zh + "。"
            )
            made.append(
                charts.lines(
                    title, drawn, both("Tokens before it", "之前的词元"), both(unit, unit), [summary], log_x=True
                )
            )
        return made


def _interval(logs: Sequence[float]) -> Interval | None:
    """Of a ratio, from the logs of paired ones; None of fewer than two."""
    if len(logs) < 2:
        return None
    middle, error = fmean(logs), 1.96 * stdev(logs) / math.sqrt(len(logs))
    return Interval(*(math.exp(min(value, 700)) for value in (middle, middle - error, middle + error)))


def _above(found: Interval, limit: float, otherwise: bool = False) -> Verdict:
    """Whether it is surely above the limit; otherwise: whether it is surely not."""
    above, below = ("differs", "agrees") if otherwise else ("agrees", "differs")
    verdict: Verdict = above if found.low > limit else below if found.high < limit else "open"  # type: ignore[assignment]
    return verdict


def _spoken(ratio: Interval) -> str:
    return f"{ratio.value:.4g} ({ratio.low:.4g} … {ratio.high:.4g})"


def _upper(by_layer: Mapping[Any, Sequence[float]]) -> list[float]:
    """Shares above the second layer, of the most first tokens up to four that were looked at."""
    firsts = sorted((int(first) for first in by_layer), key=lambda n: (n > 4, -n))
    shares = by_layer.get(str(firsts[0]), by_layer.get(firsts[0], [])) if firsts else []
    return list(shares[2:])
