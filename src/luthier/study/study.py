"""What a study is: the arms it tries, what is measured in each of their runs, and what the runs together say.

`Experiment` is what command, runner and page know; `Study` one that trains on rows, under a budget that its runs share.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.phrases import Phrase, both, say
from luthier.study.finding import Finding

if TYPE_CHECKING:
    from luthier.io.config import DataConfig
    from luthier.models.base import TrainableLM
    from luthier.study.bench import Bench
    from luthier.study.runner import Request

Measured = dict[str, Any]  # JSON
Texts = Callable[[str], Sequence[tuple[str, str]]]  # the documents of a text by its name: names and texts


@dataclass(frozen=True)
class Material:
    """What a study is about. content: a Split, or documents. key: of its content. facts: about it, for the page.

    notes: what to know of how it was read.
    """

    content: Any
    key: str
    facts: Sequence[tuple[Phrase, Any]] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Arm:
    """One thing that is tried. name: also its folder's. options: the method's. rate: of learning, None its own middle.

    facts: what the study wants to find again when it looks at the runs (JSON).
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    method: str = "lora"
    rate: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OnModel:
    """All finished runs on one base model. runs: arm -> what was measured, seed by seed.

    failed: arm -> why it has no runs. tokens: training of each run. notes: what could not be tried here, and why.
    """

    name: str
    width: int
    arms: Sequence[Arm]
    runs: Mapping[str, Sequence[Measured]]
    failed: Mapping[str, str]
    tokens: int
    notes: Sequence[Phrase] = ()

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(a for a in self.arms if a.name == name)

    def each(self, key: str) -> dict[str, list[Any]]:
        """One measured thing of every arm that has runs, seed by seed."""
        return {name: [run[key] for run in runs] for name, runs in self.runs.items()}


class Experiment(ABC):
    """A subclass is a frozen dataclass whose fields are what `--set` may change (12 at most).

    about, models: what it is about, and on which models, unless told otherwise. seeds: runs of each arm. rules: how it
    is measured.
    """

    title: ClassVar[Phrase]
    about: ClassVar[str] = "tickets"
    models: ClassVar[tuple[str, ...]] = ("embedded",)
    budget: ClassVar[str] = ""  # of all training together; "" where nothing trains
    seeds: ClassVar[int] = 1
    rules: ClassVar[Sequence[Phrase]] = ()

    @abstractmethod
    def load(self, data: DataConfig, texts: Texts) -> Material:
        """What it is about, read. texts: gives documents by name. Raises LuthierError."""

    def base(self, name: str, dtype: str, threads: int | None, material: Material) -> TrainableLM:
        """The model of that name; one that is made here has no key."""
        from luthier.io.config import Recipe
        from luthier.models.loading.of_recipe import load_base, trainable

        return trainable(load_base(Recipe(model=name, dtype=dtype, threads=threads)))

    @abstractmethod
    def arms(self, lm: TrainableLM) -> tuple[list[Arm], list[Phrase]]:
        """What to try on this model, and what of it cannot be, with the fact about the model that forbids it."""

    @abstractmethod
    def plan(self, request: Request, lm: TrainableLM, material: Material, arms: Sequence[Arm]) -> Measured:
        """What is decided once for all runs on a model: their `tokens` at least."""

    @abstractmethod
    def bench(self, lm: TrainableLM, material: Material, plan: Mapping[str, Any], request: Request) -> Any:
        """What `measure` is given; the runner sets its `say(what, share)`, which a run tells how far it is."""

    @abstractmethod
    def measure(self, bench: Any, arm: Arm, seed: int) -> Measured:
        """One run. Raises LuthierError where the arm has no result."""

    @abstractmethod
    def finding(self, models: Sequence[OnModel]) -> Finding:
        """What the runs say; every model has runs of at least one arm."""

    def facts(self, request: Request, models: Sequence[OnModel]) -> list[tuple[Phrase, Any]]:
        """About all runs, for the page."""
        return []

    def warning(self, request: Request) -> Phrase | None:
        """What the page says at its top of how much the runs can tell."""
        return None


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
        from luthier.data.load import load_split
        from luthier.runs.inputs import data_key

        split, notes = load_split(data)
        rows = [say(f"rows_{part}", n=len(getattr(split, part))) for part in ("train", "validation", "test")]
        return Material(split, data_key(split), [(say("fact_task"), say(f"task_{split.task}")),
                                                 (say("fact_rows"), rows)], notes)  # fmt: skip

    def plan(self, request: Request, lm: TrainableLM, material: Material, arms: Sequence[Arm]) -> Measured:
        from luthier.study.budgeting import shared

        return shared(self, request, lm, material.content, arms)

    def bench(self, lm: TrainableLM, material: Material, plan: Mapping[str, Any], request: Request) -> Bench:
        from luthier.study.bench import Bench

        return Bench(lm, material.content, plan["tokens"], request.batch)

    def measure(self, bench: Bench, arm: Arm, seed: int) -> Measured:
        with bench.session(arm, seed) as session:
            session.train()
            return session.measured()

    def facts(self, request: Request, models: Sequence[OnModel]) -> list[tuple[Phrase, Any]]:
        from luthier.evals import formatting

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
