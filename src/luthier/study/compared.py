"""Arms held against each other: losses on the same test rows, paired, with seeds; nothing said below its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from luthier.compare import units
from luthier.compare.stats import Bootstrap, Interval
from luthier.compare.words import Phrase, both
from luthier.study.finding import Cell, Table, Verdict, listed
from luthier.study.study import OnModel


def verdict(gap: Interval) -> Verdict:
    """On a claim that a difference is above zero."""
    return "open" if not gap.excludes_zero else "agrees" if gap.value > 0 else "differs"


def plus_minus(found: Interval, digits: int = 2) -> str:
    """`0.61 ± 0.12`; the larger half where the interval is lopsided."""
    return f"{found.value:.{digits}f} ± {max(found.high - found.value, found.value - found.low):.{digits}f}"


def bounds(found: Interval, digits: int = 2) -> str:
    """`+0.12 (0.05 to 0.19)`: a difference and its interval."""
    return f"{found.value:+.{digits}f} ({found.low:+.{digits}f} … {found.high:+.{digits}f})"


@dataclass(frozen=True)
class Compared:
    """The arms of one model by their loss on the test rows. best: the lowest."""

    on: OnModel
    boot: Bootstrap

    @classmethod
    def of(cls, on: OnModel) -> Compared:
        """From the runs of one model."""
        return cls(on, Bootstrap(on.each("loss")))

    @property
    def order(self) -> list[str]:
        """Arms, the lowest loss first."""
        return sorted(self.boot.scores, key=lambda name: float(self.boot.scores[name].mean()))

    @property
    def best(self) -> str:
        """The arm with the lowest loss."""
        return self.order[0]

    @property
    def tied(self) -> list[str]:
        """The arms whose difference from the best is not sure."""
        return [n for n in self.order[1:] if not self.boot.difference(n, self.best).excludes_zero]

    def sentence(self) -> Phrase:
        """Which is best and which cannot be told from it."""
        behind = [n for n in self.order[1:] if n not in self.tied]
        loss = plus_minus(self.boot.score(self.best))
        if not behind:
            return both(
                f"No difference is larger than its interval: {self.best} has the lowest loss ({loss} nats), and "
                "none of the others can be told from it.",
                f"没有任何差别大于其置信区间：{self.best} 的损失最低（{loss} nat），其余各项都无法与它区分。",
            )
        low, high = (self.boot.difference(n, self.best).value for n in (behind[0], behind[-1]))
        away = f"{low:.2f}" if len(behind) == 1 else f"{low:.2f} to {high:.2f}"
        away_zh = f"{low:.2f}" if len(behind) == 1 else f"{low:.2f} 到 {high:.2f}"
        tied = listed(self.tied) if self.tied else None
        return both(
            f"{self.best} has the lowest loss ({loss} nats)"
            + (f", {tied.text('en')} cannot be told from it" if tied else "")
            + f"; {listed(behind).text('en')} {'is' if len(behind) == 1 else 'are'} worse by {away} nats.",
            f"{self.best} 的损失最低（{loss} nat）"
            + (f"，{tied.text('zh')}无法与它区分" if tied else "")
            + f"；{listed(behind).text('zh')}比它差 {away_zh} nat。",
        )

    def standing(self, name: str) -> Phrase | str:
        """A cell: best, not distinguishable, or how far behind."""
        if name == self.best:
            return both("best", "最佳")
        if name in self.tied:
            return both("not distinguishable", "无法区分")
        return bounds(self.boot.difference(name, self.best))

    def table(self, title: Phrase, more: Mapping[str, Sequence[Cell]], heads: Sequence[Phrase]) -> Table:
        """Name, loss, against the best, right answers, then what `more` has of each arm under `heads`."""
        right = self._right()
        columns = [both("Arm", "设置"), both("Loss, nats", "损失（nat）"), both("Against the best", "与最佳之差")]
        columns += [both("Accuracy, %", "准确率（%）")] if right else []
        rows = [
            [n, plus_minus(self.boot.score(n)), self.standing(n), *([right[n]] if right else []), *more[n]]
            for n in self.on.runs
        ]
        return Table(title, [*columns, *heads], rows, list(self.on.runs).index(self.best))

    def _right(self) -> dict[str, str]:
        found = self.on.each("right")
        if any(seed is None for seeds in found.values() for seed in seeds):
            return {}
        boot = Bootstrap({n: [[100 * r for r in seed] for seed in seeds] for n, seeds in found.items()})
        return {n: plus_minus(boot.score(n), 1) for n in found}

    def forest(self, title: Phrase) -> dict[str, Any]:
        """A picture: the loss of each arm with its interval, the lowest at the top."""
        points: list[dict[str, Any]] = []
        for name in self.order:
            found = self.boot.score(name)
            says = both(f"{name}: {plus_minus(found)} nats", f"{name}：{plus_minus(found)} nat")
            points.append(
                {
                    "name": name,
                    "y": found.value,
                    "lo": found.low,
                    "hi": found.high,
                    "best": name == self.best,
                    "says": says,
                }
            )
        low, high = min(p["lo"] for p in points), max(p["hi"] for p in points)
        pad = max((high - low) * 0.06, 0.02)
        return {
            "kind": "forest",
            "title": title,
            "points": points,
            "line": points[0]["y"],
            "x": {
                "title": both("Loss on the test rows, nats", "测试数据上的损失（nat）"),
                "range": [low - pad, high + pad],
            },
            "summary": [self.sentence()],
        }


def cost_cells(on: OnModel) -> dict[str, list[Cell]]:
    """Trained numbers, bytes, milliseconds a token and peak memory of each arm, means over seeds."""
    out: dict[str, list[Cell]] = {}
    for name, runs in on.runs.items():
        pace = [1000 * r["seconds"] / max(r["tokens"], 1) for r in runs]
        out[name] = [
            units.count(runs[0]["trainable"]),
            units.size(runs[0]["bytes"]),
            f"{sum(pace) / len(pace):.1f} ms",
            units.size(max(r["memory"] for r in runs)),
        ]
    return out


COST_HEADS = (
    both("Trained", "训练参数"),
    both("File", "文件"),
    both("A token", "每词元"),
    both("Peak memory", "内存峰值"),
)
