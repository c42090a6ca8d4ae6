"""Instruction only: the best of three wordings by validation.

The row every other method is measured against. Its one choice, the wording, is made on the validation rows, as the
others choose their learning rate there; for rows in Chinese two of the three are Chinese.
Source: Radford et al. 2019; Brown et al. 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from luthier.core.methods import Direct
from luthier.core.records import Task
from luthier.core.split import Split
from luthier.evals.wording import best_wording, chosen, load_wording, wordings

if TYPE_CHECKING:
    from luthier.core.lm import WordedLM
    from luthier.training.context import Context

extras = ()


@dataclass(frozen=True)
class ZeroShot(Direct):
    """validation: at most this many validation rows judge the wordings."""

    validation: int = 32

    tasks: ClassVar[tuple[Task, ...]] = ("classification", "generation", "preference")
    seeded: ClassVar[bool] = False
    remote: ClassVar[bool] = True
    learns: ClassVar[bool] = False

    def refuses(self, ctx: Context) -> str | None:
        return ctx.lm.mute(ctx.data.labels)

    def asked(self, data: Split) -> float:
        return 3.0 * min(self.validation, len(data.validation))

    def adapt(self, ctx: Context) -> WordedLM:
        lm, data = ctx.lm, ctx.data
        among = wordings(lm, data)
        best = best_wording([lm.worded(t, data.labels) for t in among], data, self.validation)
        ctx.notes.extend(chosen(best.template, among, len(data.validation[: self.validation])))
        return best

    def load(self, folder: Path, ctx: Context) -> WordedLM:
        return load_wording(folder, ctx.lm)


METHOD = ZeroShot
