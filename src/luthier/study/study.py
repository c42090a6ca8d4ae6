"""What a study is: the arms it tries, what is measured in each of their runs, and what the runs together say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.phrases import Phrase
from luthier.study.finding import Finding

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM
    from luthier.study.bench import Bench

Measured = dict[str, Any]  # JSON


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


class Study(ABC):
    """A subclass is a frozen dataclass whose fields are what `--set` may change (12 at most)."""

    title: ClassVar[Phrase]
    budget: ClassVar[str] = "4m"  # of all training together
    least: ClassVar[int] = 5  # steps that a run must have to say anything

    @abstractmethod
    def arms(self, lm: TrainableLM) -> tuple[list[Arm], list[Phrase]]:
        """What to try on this model, and what of it cannot be, with the fact about the model that forbids it."""

    def measure(self, bench: Bench, arm: Arm, seed: int) -> Measured:
        """One run. Raises LuthierError where the arm cannot be trained (its loss is not finite, say)."""
        with bench.session(arm, seed) as session:
            session.train()
            return session.measured()

    @abstractmethod
    def finding(self, models: Sequence[OnModel]) -> Finding:
        """What the runs say; every model has runs of at least one arm."""
