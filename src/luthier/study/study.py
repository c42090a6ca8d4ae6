"""Studies that train on rows: their runs share a budget equally, and are scored on rows that none learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.phrases import Phrase, both, say
from luthier.data.load import load_split
from luthier.evals import formatting
from luthier.runs.inputs import data_key
from luthier.study.bench import Bench
from luthier.study.budgeting import shared
from luthier.study.experiment import Arm as Arm
from luthier.study.experiment import Experiment, Material, Texts
from luthier.study.experiment import Measured as Measured
from luthier.study.experiment import OnModel as OnModel

if TYPE_CHECKING:
    from luthier.io.config import DataConfig
    from luthier.models.base import TrainableLM
    from luthier.study.runner import Request


class Study(Experiment):
    """One that trains: its runs share a budget equally, and are scored on rows that none of them learns from."""

    budget: ClassVar[str] = "4m"
    seeds: ClassVar[int] = 2
    least: ClassVar[int] = 5  # steps that a run must have to say anything
    rules: ClassVar[Sequence[Phrase]] = (
        both(
            "Every run gets the same number of training tokens, the same rows in the same order for a seed, and "
            "starts from the same random state.",
            "每次训练的词元数相同，同一种子下数据顺序相同，随机状态也相同。",
        ),
        both(
            "Loss is taken on the test rows, which no run learns from: −log p of the right label among the labels, "
            "or nats a token of the answer. Lower is better.",
            "损失在任何训练都没见过的测试数据上计算：正确标签在各标签中的 −log p，或答案每词元的 nat。越低越好。",
        ),
        both(
            "Intervals are 95 %, by a bootstrap over test rows and seeds, paired between arms. Where the interval of "
            "a difference includes zero, the page says so and claims nothing. Each is 95 % by itself: of many "
            "arms, one in twenty may seem different by chance.",
            "区间为 95 %，对测试数据和种子做自助法，各设置之间配对。差的区间含零时，本页如实说明，不下结论。"
            "每个区间各自为 95 %：设置很多时，二十个中可能有一个只是碰巧显得不同。",
        ),
    )

    def load(self, data: DataConfig, texts: Texts) -> Material:
        split, notes = load_split(data)
        rows = [say(f"rows_{part}", n=len(getattr(split, part))) for part in ("train", "validation", "test")]
        return Material(split, data_key(split), [(say("fact_task"), say(f"task_{split.task}")),
                                                 (say("fact_rows"), rows)], notes)  # fmt: skip

    def plan(self, request: Request, lm: TrainableLM, material: Material, arms: Sequence[Arm]) -> Measured:
        return shared(self, request, lm, material.content, arms)

    def bench(self, lm: TrainableLM, material: Material, plan: Mapping[str, Any], request: Request) -> Bench:
        return Bench(lm, material.content, plan["tokens"], request.batch)

    def measure(self, bench: Bench, arm: Arm, seed: int) -> Measured:
        with bench.session(arm, seed) as session:
            session.train()
            return session.measured()

    def facts(self, request: Request, models: Sequence[OnModel]) -> list[tuple[Phrase, Any]]:
        given, tokens = request.budget or self.budget, formatting.count(models[0].tokens)
        budget = both(f"{given} in all, {tokens} tokens a run", f"共 {given}，每次 {tokens} 个词元")
        return [(say("fact_budget"), budget), (say("column_seeds"), str(request.seeds))]

    def warning(self, request: Request) -> Phrase | None:
        if request.seeds > 1:
            return None
        return both(
            "one seed: how much a run varies from another of the same kind was not measured.",
            "只有一个种子：同样设置的两次训练会差多少，没有测量。",
        )
