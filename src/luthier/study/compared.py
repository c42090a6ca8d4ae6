"""Arms held against each other: losses on the same test rows, paired, with seeds; nothing said below its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from luthier.core.phrases import Phrase, both
from luthier.evals import formatting
from luthier.evals.bootstrap import Bootstrap, Interval
from luthier.study.experiment import OnModel
from luthier.study.finding import Cell, Table, Verdict, listed


def verdict(gap: Interval) -> Verdict:
    """On a claim that a difference is above zero."""
    return "open" if not gap.excludes_zero else "agrees" if gap.value > 0 else "differs"


def plus_minus(found: Interval, digits: int = 2, sign: str = "") -> str:
    """`0.61 ± 0.12`; the larger half where the interval is lopsided."""
    return f"{found.value:{sign}.{digits}f} ± {max(found.high - found.value, found.value - found.low):.{digits}f}"


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
        behind, tied = [n for n in self.order[1:] if n not in self.tied], self.tied
        loss = plus_minus(self.boot.score(self.best))
        english, chinese = f"{self.best} has the lowest loss ({loss} nats)", f"{self.best} 的损失最低（{loss} nat）"
        if not behind:
            return both(
                f"No difference is larger than its interval: {english}, and none of the others can be told from it.",
                f"没有任何差别大于其置信区间：{chinese}，其余各项都无法与它区分。",
            )
        gaps = [f"{self.boot.difference(n, self.best).value:.2f}" for n in (behind[0], behind[-1])]
        away, verb = list(dict.fromkeys(gaps)), "is" if len(behind) == 1 else "are"
        if tied:
            english += f", {_named(tied).text('en')} cannot be told from it"
            chinese += f"，{_named(tied).text('zh')}无法与它区分"
        return both(
            f"{english}; {_named(behind).text('en')} {verb} worse by {' to '.join(away)} nats.",
            f"{chinese}；{_named(behind).text('zh')}比它差 {' 到 '.join(away)} nat。",
        )

    def standing(self, name: str) -> Phrase | str:
        """A cell: best, not distinguishable, or how far behind."""
        if name == self.best:
            return both("best", "最佳")
        if name in self.tied:
            return both("not distinguishable", "无法区分")
        return plus_minus(self.boot.difference(name, self.best), sign="+")

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
        """A picture: how far each arm's loss is above the lowest, with paired intervals."""
        points: list[dict[str, Any]] = []
        for name in self.order:
            gap = self.boot.difference(name, self.best)
            says = f"{name}: {bounds(gap, 3)}"
            points.append(
                {"name": name, "y": gap.value, "lo": gap.low, "hi": gap.high, "best": name == self.best, "says": says}
            )
        low, high = min(p["lo"] for p in points), max(p["hi"] for p in points)
        pad = max((high - low) * 0.06, 0.005)
        above = both("Loss above the lowest, nats", "高出最低损失（nat）")
        axis = {"title": above, "range": [low - pad, high + pad]}
        return {
            "kind": "forest",
            "title": title,
            "points": points,
            "line": 0.0,
            "x": axis,
            "summary": [self.sentence()],
        }


def _named(names: Sequence[str]) -> Phrase:
    """Their names, or how many there are."""
    return listed(names) if len(names) <= 4 else both(f"{len(names)} others", f"另外 {len(names)} 项")


def cost_cells(on: OnModel) -> dict[str, list[Cell]]:
    """Trained numbers, bytes, milliseconds a token and peak memory of each arm, means over seeds."""
    out: dict[str, list[Cell]] = {}
    for name, runs in on.runs.items():
        pace = [1000 * r["seconds"] / max(r["tokens"], 1) for r in runs]
        out[name] = [
            formatting.count(runs[0]["trainable"]),
            formatting.size(runs[0]["bytes"]),
            f"{sum(pace) / len(pace):.1f} ms",
            formatting.size(max(r["memory"] for r in runs)),
        ]
    return out


COST_HEADS = (
    both("Trained", "训练参数"),
    both("File", "文件"),
    both("A token", "每词元"),
    both("Peak memory", "内存峰值"),
)
