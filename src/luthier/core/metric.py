"""What a score is: a name, a unit, the tasks it is for, and one number a row, so that methods can be compared in pairs.

A metric is a file in `evals/metrics/` that sets `METRIC`, or another package's (`core.plugins`). For every metric
higher is better, and the score is the mean over the rows. Where the score of other rows is not the mean of the same
numbers (macro-F1), the metric is a `CountedMetric` and computes it from what each row contributes, so that the
bootstrap draws rows and not numbers that were made from all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from luthier.core import plugins
from luthier.core.errors import LuthierError

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.core.lm import LM
    from luthier.core.records import Record, Task
    from luthier.core.split import Split

DEFAULTS: dict[Task, str] = {
    "classification": "accuracy",
    "multilabel": "label_f1",
    "regression": "mae_skill",
    "generation": "chrF",
    "text": "token_probability",
    "preference": "pair_accuracy",
}


@dataclass
class Scores:
    """per_row: the metric of each row, in its unit. answers: what the model said.

    label_logprobs: (N, K), where labels were compared. codes: what each row contributes, of a `CountedMetric`.
    blocks: of plain text, row, nats and bytes of stretches of it, by which its bits a byte have an interval.
    """

    metric: str
    per_row: list[float]
    answers: list[str]
    secondary: dict[str, float] = field(default_factory=dict)
    label_logprobs: Tensor | None = field(default=None, repr=False, compare=False)
    codes: list[list[int]] | None = None
    blocks: list[tuple[int, float, int]] | None = None

    @property
    def kept(self) -> dict[str, Any]:
        """What a file keeps of the single rows."""
        more = {"codes": self.codes, "blocks": self.blocks}
        told = {name: value for name, value in more.items() if value is not None}
        return {"per_row": self.per_row, "answers": self.answers, **told}

    @property
    def score(self) -> float:
        """The mean over rows."""
        return sum(self.per_row) / len(self.per_row)


class Metric(ABC):
    """One way to score an adapted model on rows of a task; a subclass is a frozen dataclass without fields.

    unit: "share" is stored from 0 to 1 and shown times 100, "points" is stored as shown (0 to 100).
    meaning: a sentence for the report that says what the number is. weighted: a right row counts by its label, a wrong
    one nothing: a row's number says no more than whether it is right.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    unit: ClassVar[Literal["share", "points"]] = "share"
    weighted: ClassVar[bool] = False
    tasks: ClassVar[tuple[Task, ...]]
    meaning: ClassVar[str]

    @abstractmethod
    def scores(self, lm: LM, data: Split, rows: Sequence[Record]) -> Scores:
        """Score the rows, which must not be empty."""


class CountedMetric(Metric):
    """A metric whose score of other rows must be computed anew from what each of them contributes."""

    @abstractmethod
    def resampled(self, codes: Any, shares: Any) -> Any:
        """The scores (R,) of R samples of rows: `Scores.codes` (N, ...), and the share of each row, (R, N), as arrays.

        With equal shares it is the mean of `Scores.per_row`.
        """


@cache
def _all() -> dict[str, Metric]:
    """Every metric by its own name; nothing heavy is imported."""
    found: dict[str, Metric] = {}
    for member in plugins.members("metrics").values():
        try:
            metric: Metric = member.load("METRIC")
        except ImportError:
            if member.ours:
                raise
            continue  # what another package's metric needs is not there: so is the metric
        found.setdefault(metric.name, metric)
    return found


def names() -> list[str]:
    """Every metric's name."""
    return list(_all())


def find(name: str) -> Metric:
    """The metric of that name. Raises LuthierError that suggests the right one."""
    from luthier.core.catalog import suggest

    if name not in _all():
        raise LuthierError(f"data.metric: there is no metric {name!r}{suggest(name, names())}")
    return _all()[name]


def for_task(task: Task, name: str = "") -> Metric:
    """The metric that decides: the task's own, or the named one. Raises LuthierError where it is for other tasks."""
    if not name and task not in DEFAULTS:
        raise LuthierError(f"there is no score for {task} data: it can be trained on, not compared on")
    metric = find(name or DEFAULTS[task])
    if task not in metric.tasks:
        fitting = [n for n in names() if task in find(n).tasks]
        raise LuthierError(
            f"data.metric: {metric.name} is for {' and '.join(metric.tasks)}, and this data is for {task}; "
            f"for it there is {', '.join(fitting)}"
        )
    return metric


def statistic(name: str) -> Callable[[Any, Any], Any] | None:
    """What computes the score of resampled rows, where that is no mean."""
    found = find(name) if name in names() else None
    return found.resampled if isinstance(found, CountedMetric) else None


def weighted(name: str) -> bool:
    """Whether a row's number is the weight of its label or nothing."""
    return name in names() and find(name).weighted


def scale(name: str) -> float:
    """What a stored score is multiplied by to be shown in points."""
    return 100.0 if name in names() and find(name).unit == "share" else 1.0


def title(name: str) -> str:
    """A metric's name with its unit, as on an axis; an unknown one's name as it is."""
    return find(name).title if name in names() else name


def meaning(name: str) -> str:
    """A sentence that says what the score is; empty for an unknown one."""
    return find(name).meaning if name in names() else ""
