"""How LoRA's rank, alpha and dropout matter: quality with its interval, time, memory and bytes.

From one setting (rank 8, alpha 2r, no dropout) one thing is changed at a time: r = 1 to 64, alpha = r, 2r, 4r, dropout
0 and 0.1. `--set grid=true` tries every combination, which takes four times as long.

Example: luthier study lora-rank mine.jsonl --budget 10m --set ranks=1,8,64 --set grid=true
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.phrases import Phrase, both
from luthier.study import charts
from luthier.study.compared import COST_HEADS, Compared, bounds, cost_cells, verdict
from luthier.study.finding import Claim, Finding, Verdict
from luthier.study.study import Arm, OnModel, Study

if TYPE_CHECKING:
    from luthier.evals.bootstrap import Interval
    from luthier.models.base import TrainableLM

CENTRE = (8, 2.0, 0.0)  # rank, alpha / r, dropout
MARGIN = 0.05  # nats: "as good as" is worse by less than this, surely


def name_of(rank: int, alpha: float, dropout: float) -> str:
    """r8 alpha 2r: an arm's name."""
    return f"r{rank} alpha {alpha:g}r" + (f" dropout {dropout:g}" if dropout else "")


@dataclass(frozen=True)
class LoraRank(Study):
    """alphas: in units of r. grid: every combination. rate: of learning, LoRA's own middle unless given."""

    ranks: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    alphas: tuple[float, ...] = (1.0, 2.0, 4.0)
    dropouts: tuple[float, ...] = (0.0, 0.1)
    grid: bool = False
    rate: float | None = None

    title: ClassVar[Phrase] = both("LoRA's rank, alpha and dropout", "LoRA 的秩、alpha 与 dropout")
    budget: ClassVar[str] = "5m"

    @property
    def centre(self) -> tuple[int, float, float]:
        """What is held while one thing changes: the usual setting, or the middle of what was asked for."""
        asked: tuple[Sequence[Any], ...] = (self.ranks, self.alphas, self.dropouts)
        held: list[Any] = [c if c in v else v[len(v) // 2] for c, v in zip(CENTRE, asked, strict=True)]
        return held[0], held[1], held[2]

    def arms(self, lm: TrainableLM) -> tuple[list[Arm], list[Phrase]]:
        settings = sorted(product(self.ranks, self.alphas, self.dropouts), key=lambda s: (s[2], s[1], s[0]))
        apart = [sum(a != b for a, b in zip(s, self.centre, strict=True)) for s in settings]
        chosen = [s for s, n in zip(settings, apart, strict=True) if self.grid or n <= 1]
        arms = [
            Arm(
                name_of(*s),
                {"rank": s[0], "alpha": s[0] * s[1], "dropout": s[2]},
                rate=self.rate,
                facts={"rank": s[0], "alpha": s[1], "dropout": s[2]},
            )
            for s in chosen
        ]
        if self.grid:
            return arms, []
        held = name_of(*self.centre)
        return arms, [
            both(
                f"One thing changes at a time, from {held}: how they work together was not measured.",
                f"每次只从 {held} 改变一项：各项之间的相互影响没有测量。",
            )
        ]

    def finding(self, models: Sequence[OnModel]) -> Finding:
        on = models[0]
        found = Compared.of(on)
        table = found.table(both("Quality and cost", "质量与代价"), cost_cells(on), COST_HEADS)
        held = name_of(*self.centre)
        held = held if held in on.runs else found.best
        pictures = [_by_rank(on, found, held), _pace(on), found.forest(both("All settings", "全部设置"))]
        rule = both(
            "One learning rate for all settings. A larger alpha works like a larger rate.",
            "所有设置使用同一学习率。更大的 alpha 相当于更大的学习率。",
        )
        return Finding(found.sentence(), self._claims(found), [table], pictures, [*on.notes, rule])

    def _claims(self, found: Compared) -> list[Claim]:
        rank, alpha, dropout = self.centre
        small, large = max((r for r in self.ranks if r <= 4), default=0), max(self.ranks)
        wanted = [
            (
                name_of(small, alpha, dropout),
                name_of(large, alpha, dropout),
                _enough,
                "Hu et al. 2021",
                both(
                    f"A small rank is enough: r = {small} is not worse than r = {large} by more than {MARGIN} nats.",
                    f"小秩已足够：r = {small} 比 r = {large} 最多差 {MARGIN} nat。",
                ),
            ),
            (
                name_of(rank, 1.0, dropout),
                name_of(rank, 2.0, dropout),
                verdict,
                "Biderman et al. 2024",
                both("alpha = 2r is better than alpha = r.", "alpha = 2r 优于 alpha = r。"),
            ),
            (
                name_of(rank, alpha, 0.0),
                name_of(rank, alpha, 0.1),
                verdict,
                "Dettmers et al. 2023",
                both("Some dropout helps a small model.", "对小模型，少量 dropout 有帮助。"),
            ),
        ]
        return [
            Claim(says, source, judge(found.boot.difference(a, b)))
            for a, b, judge, source, says in wanted
            if a != b and {a, b} <= found.boot.scores.keys()
        ]


def _enough(gap: Interval) -> Verdict:
    return "agrees" if gap.high < MARGIN else "differs" if gap.low > 0 else "open"


def _series(on: OnModel) -> list[tuple[Phrase, list[Arm]]]:
    """Arms that differ in rank only, where there are several."""
    out: dict[tuple[float, float], list[Arm]] = {}
    for name in on.runs:
        arm = on.arm(name)
        out.setdefault((arm.facts["alpha"], arm.facts["dropout"]), []).append(arm)
    return [
        (both(f"alpha {a:g}r, dropout {d:g}", f"alpha {a:g}r，dropout {d:g}"), arms) for (a, d), arms in out.items()
    ]


def _by_rank(on: OnModel, found: Compared, held: str) -> dict[str, Any]:
    """Loss above or below that of the setting from which the others are changed, with paired intervals."""
    drawn = []
    for title, arms in _series(on):
        gaps = [found.boot.difference(a.name, held) for a in arms]
        says = [f"r = {a.facts['rank']}: {bounds(g, 3)}" for a, g in zip(arms, gaps, strict=True)]
        ranks = [a.facts["rank"] for a in arms]
        ends = [g.low for g in gaps], [g.high for g in gaps]
        drawn.append(charts.line(title, ranks, [g.value for g in gaps], says, *ends))
    away = both(f"Loss against {held}, nats", f"与 {held} 的损失之差（nat）")
    return charts.lines(
        both("Loss by rank", "损失与秩"), drawn, both("Rank", "秩"), away, [found.sentence()], log_x=True
    )


def _pace(on: OnModel) -> dict[str, Any]:
    drawn, ends = [], []
    for title, arms in _series(on):
        pace = [sum(1000 * r["seconds"] / r["tokens"] for r in on.runs[a.name]) / len(on.runs[a.name]) for a in arms]
        says = [f"r = {a.facts['rank']}: {p:.2f} ms" for a, p in zip(arms, pace, strict=True)]
        drawn.append(charts.line(title, [a.facts["rank"] for a in arms], pace, says))
        ends.append((len(arms), pace))
    _, pace = max(ends, key=lambda e: e[0])
    summary = both(
        f"From the smallest to the largest rank: {pace[0]:.1f} to {pace[-1]:.1f} ms a token.",
        f"从最小的秩到最大的秩：每词元 {pace[0]:.1f} 到 {pace[-1]:.1f} 毫秒。",
    )
    return charts.lines(
        both("Time by rank", "时间与秩"),
        drawn,
        both("Rank", "秩"),
        both("Training, ms a token", "训练，毫秒/词元"),
        [summary],
        log_x=True,
    )


STUDY = LoraRank
