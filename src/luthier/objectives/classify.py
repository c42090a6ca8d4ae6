"""Cross-entropy of a linear label head on the last token's hidden state.

An encoder's head reads the mean of the text's states, an encoder-decoder's the decoder's first one.
The head (K labels × d numbers and K biases) starts at zero: uniform over the labels, the same for every seed. Its
inputs are standardised by the first training rows, since a few hidden dimensions outweigh all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.batch import Batch
from luthier.core.errors import LuthierError
from luthier.core.example import Example
from luthier.core.methods import Objective
from luthier.core.records import Labelled, Record, Task
from luthier.core.split import Split
from luthier.data.pack import WEIGHT, weighed

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.models.labelling import LabelHead
    from luthier.models.outputs import Outputs

extras = ()
SCALING_ROWS = 64


@dataclass(frozen=True)
class Classify(Objective):
    """max_length: in tokens; a longer text loses its middle (`luthier.data.shorten`)."""

    max_length: int = 1024

    record: ClassVar[type] = Labelled
    heads: ClassVar[tuple[str, ...]] = ("labels",)
    tasks: ClassVar[tuple[Task, ...]] = ("classification",)

    def examples(self, lm: TrainableLM, data: Split, row: int, record: Record) -> list[Example]:
        if not isinstance(record, Labelled):
            raise LuthierError("objective classify: learns from rows with a text and a label, not conversations")
        found = lm.labelled(row, record.text, data.labels, [lm.labels.index(record.label)])
        return [weighed(found, data, record)]

    def setup(self, lm: TrainableLM, examples: Sequence[Any]) -> None:
        """Set the head's scaling from the first examples."""
        scale_head(lm, examples)

    def divisors(self, examples: Sequence[Any]) -> dict[str, float]:
        return {"cross_entropy": max(sum(sum(e.columns.get(WEIGHT, (1.0,))) for e in examples), 1e-9)}

    def loss(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        import torch.nn.functional as F

        if (weights := batch.columns.get(WEIGHT)) is None:
            return {"cross_entropy": F.cross_entropy(out.head("labels"), batch.targets, reduction="sum")}
        losses = F.cross_entropy(out.head("labels"), batch.targets, reduction="none")
        return {"cross_entropy": (losses * weights).sum()}


def scale_head(lm: TrainableLM, examples: Sequence[Example], other: LabelHead | None = None) -> None:
    """Standardise the head's input by the first examples: hidden dimensions differ in size by orders of magnitude.

    other: than the one that answers.
    """
    from luthier.models.inference.feature_cache import FeatureCache

    head = other or lm.label_head
    assert head is not None
    some = list(examples[:SCALING_ROWS])
    head.scale_to(FeatureCache(lm, len(lm.blocks), some).states(some))


METHOD = Classify
