"""Squared error of a number that a linear head reads off the last token's hidden state.

The training values are standardised; their mean and standard deviation are saved with the head, which starts at zero:
the mean for every text. Its inputs are standardised by the first training rows. Source: least squares, Legendre 1805.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from luthier.data.pack import Example, shortened
from luthier.errors import LuthierError
from luthier.objectives.classify import scale_head
from luthier.protocols import Batch, Objective, Outputs, Rated, Record, Split, Task

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import BaseLM

extras = ()
STEPS = 1 << 20  # a target is a whole number in a batch: this many to a standard deviation
FARTHEST = float(1 << 40)  # standard deviations


@dataclass(frozen=True)
class Regress(Objective):
    """max_length: longer texts lose tokens in front of the last one, in tokens."""

    max_length: int = 1024

    record: ClassVar[type] = Rated
    output: ClassVar[Literal["vocab", "labels", "tags", "scalar"]] = "scalar"
    tasks: ClassVar[tuple[Task, ...]] = ("regression",)

    def encode(self, lm: BaseLM, data: Split, records: Sequence[Record]) -> list[Example]:
        """Targets in standard units of the training values, which become the head's own."""
        from luthier.models.labelling import ScalarHead

        head = lm.label_head
        assert isinstance(head, ScalarHead)
        centre, spread = units_of(data)
        head.centre.fill_(centre)
        head.spread.fill_(spread)
        out: list[Example] = []
        for row, record in enumerate(records):
            if not isinstance(record, Rated):
                raise LuthierError("objective regress: learns from rows with a text and a number")
            ids = shortened(lm.encode_prompt(record.text), self.max_length)
            steps = min(max((record.value - centre) / spread, -FARTHEST), FARTHEST) * STEPS
            out.append(Example(row, tuple(ids), (len(ids) - 1,), (round(steps),)))
        return out

    def setup(self, lm: BaseLM, examples: Sequence[Any]) -> None:
        """Set the head's scaling from the first examples."""
        scale_head(lm, examples)

    def weights(self, examples: Sequence[Any]) -> dict[str, float]:
        return {"squared_error": float(max(len(examples), 1))}

    def loss(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        import torch.nn.functional as F

        assert out.lm.label_head is not None
        found = out.lm.label_head(out.hidden)[:, 0]
        return {"squared_error": F.mse_loss(found, (batch.targets.double() / STEPS).to(found.dtype), reduction="sum")}


def units_of(data: Split) -> tuple[float, float]:
    """Mean and standard deviation of the training values. Raises LuthierError where they are all the same."""
    import numpy as np

    values = np.array([r.value for r in data.train if isinstance(r, Rated)], dtype=np.float64)
    centre, spread = float(values.mean()), float(values.std())
    if not spread > 0:
        raise LuthierError(f"objective regress: all training rows have the value {centre:g}: nothing to learn")
    return centre, spread


METHOD = Regress
