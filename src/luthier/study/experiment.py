"""What a study is: the arms it tries, what is measured in each of their runs, and what the runs together say.

`Experiment` is what command, runner and page know; `study.Study` is one that trains on rows, under a budget.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.phrases import Phrase
from luthier.study.finding import Finding

if TYPE_CHECKING:
    from luthier.io.config import DataConfig
    from luthier.models.base import TrainableLM
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
