"""Squared error of a number that a linear head reads off the last token's hidden state.

The training values are standardised; their mean and standard deviation are saved with the head, which starts at zero:
the mean for every text. Its inputs are standardised by the first training rows. Source: least squares, Legendre 1805.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.batch import Batch
from luthier.core.errors import LuthierError
from luthier.core.example import Example
from luthier.core.methods import Objective
from luthier.core.records import Rated, Record, Task
from luthier.core.split import Split
from luthier.objectives.classify import scale_head

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.models.outputs import Outputs

extras = ()
FARTHEST = float(1 << 40)  # standard deviations


@dataclass(frozen=True)
class Regress(Objective):
    """max_length: in tokens; a longer text loses its middle (`luthier.data.shorten`)."""

    max_length: int = 1024

    record: ClassVar[type] = Rated
    heads: ClassVar[tuple[str, ...]] = ("scalar",)
    tasks: ClassVar[tuple[Task, ...]] = ("regression",)

    def encode(self, lm: TrainableLM, data: Split, records: Sequence[Record]) -> list[Example]:
        """The mean and the deviation of the training values become the head's own."""
        from luthier.models.labelling import number_head

        head = number_head(lm)
        centre, spread = units_of(data)
        head.centre.fill_(centre)
        head.spread.fill_(spread)
        return super().encode(lm, data, records)

    def examples(self, lm: TrainableLM, data: Split, row: int, record: Record) -> list[Example]:
        """The target in the head's units."""
        if not isinstance(record, Rated):
            raise LuthierError("objective regress: learns from rows with a text and a number")
        from luthier.models.labelling import number_head

        head = number_head(lm)
        apart = (record.value - float(head.centre)) / float(head.spread)
        found = lm.labelled(row, record.text, (), [0])
        return [replace(found, columns={"wanted": (min(max(apart, -FARTHEST), FARTHEST),)})]

    def setup(self, lm: TrainableLM, examples: Sequence[Any]) -> None:
        """Set the head's scaling from the first examples."""
        scale_head(lm, examples)

    def divisors(self, examples: Sequence[Any]) -> dict[str, float]:
        return {"squared_error": float(max(len(examples), 1))}

    def loss(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        import torch.nn.functional as F

        found = out.head("scalar")[:, 0]
        return {"squared_error": F.mse_loss(found, batch.columns["wanted"].to(found.dtype), reduction="sum")}


def units_of(data: Split) -> tuple[float, float]:
    """Mean and standard deviation of the training values. Raises LuthierError where they are all the same."""
    import numpy as np

    values = np.array([r.value for r in data.train if isinstance(r, Rated)], dtype=np.float64)
    centre, spread = float(values.mean()), float(values.std())
    if not spread > 0:
        raise LuthierError(f"objective regress: all training rows have the value {centre:g}: nothing to learn")
    return centre, spread


METHOD = Regress
