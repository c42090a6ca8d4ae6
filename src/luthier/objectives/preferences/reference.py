"""An objective that holds on to a reference: the model as it stood when training began, asked once for each answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.cursor import Cursor
from luthier.core.example import Example
from luthier.core.methods import Objective
from luthier.core.records import Preference, Task
from luthier.core.split import Split
from luthier.objectives.preferences import answers

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM
    from luthier.training.context import Context


@dataclass(frozen=True)
class WithReference(Objective):
    """`_kept["reference"]`: log p of each answer under the reference, by content, for exact resume."""

    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    record: ClassVar[type] = Preference
    tasks: ClassVar[tuple[Task, ...]] = ("preference",)
    needs: ClassVar[tuple[str, ...]] = ("reference",)

    @property
    def uses_reference(self) -> bool:
        """Whether a reference is asked at all."""
        return True

    @property
    def known(self) -> dict[str, float]:
        """What the reference said so far."""
        found: dict[str, float] = self._kept.setdefault("reference", {})
        return found

    def room(self, lm: TrainableLM, data: Split) -> int:
        return answers.room_for(lm, data)

    def batches(self, ctx: Context, dataset: Sequence[Example], size: int, cursor: Cursor) -> Iterator[list[Example]]:
        for chosen in super().batches(ctx, dataset, size, cursor):
            asked = answers.not_asked(chosen, self.known).values() if self.uses_reference else ()
            if not ctx.meter.fits(sum(e.tokens for e in (*asked, *chosen))):
                return
            yield self.completed(ctx, chosen)

    def completed(self, ctx: Context, examples: Sequence[Any]) -> list[Any]:
        """With what the reference says of them, which counts in the budget."""
        return answers.with_reference(ctx, examples, self.known) if self.uses_reference else list(examples)

    def state(self) -> dict[str, Any]:
        return {"reference": self.known}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._kept["reference"] = dict(state["reference"])
