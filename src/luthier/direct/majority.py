"""Always the commonest label, or labels, of the training rows.

It looks at no text and asks no model, so a method that does no better has learned nothing of the task.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from luthier.evals.constant import ConstantLM, constant, load_constant
from luthier.evals.wording import unworded
from luthier.protocols import Direct, Run, Split, Task

if TYPE_CHECKING:
    from luthier.models.base import BaseLM

extras = ()


@dataclass(frozen=True)
class Majority(Direct):
    """Nothing to set. A number has no such row: the score of regression is measured against the median already."""

    tasks: ClassVar[tuple[Task, ...]] = ("classification", "multilabel")
    seeded: ClassVar[bool] = False
    remote: ClassVar[bool] = True
    asks: ClassVar[bool] = False

    def refuses(self, lm: BaseLM, data: Split) -> str | None:
        return unworded(lm)

    def adapt(self, lm: BaseLM, data: Split, run: Run) -> ConstantLM:
        found = constant(data)
        assert found
        return found

    def load(self, folder: Path, lm: BaseLM) -> ConstantLM:
        return load_constant(folder)


METHOD = Majority
