"""Always the commonest label, or labels, of the training rows.

It looks at no text and asks no model, so a method that does no better has learned nothing of the task.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from luthier.core.methods import Direct
from luthier.core.records import Task
from luthier.evals.constant import ConstantLM, constant, load_constant
from luthier.evals.wording import unworded

if TYPE_CHECKING:
    from luthier.training.context import Context

extras = ()


@dataclass(frozen=True)
class Majority(Direct):
    """Nothing to set. A number has no such row: the score of regression is measured against the median already."""

    tasks: ClassVar[tuple[Task, ...]] = ("classification", "multilabel")
    seeded: ClassVar[bool] = False
    remote: ClassVar[bool] = True
    asks: ClassVar[bool] = False

    def refuses(self, ctx: Context) -> str | None:
        return unworded(ctx.lm)

    def adapt(self, ctx: Context) -> ConstantLM:
        found = constant(ctx.data)
        assert found
        return found

    def load(self, folder: Path, ctx: Context) -> ConstantLM:
        return load_constant(folder)


METHOD = Majority
