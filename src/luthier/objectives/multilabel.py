"""Binary cross-entropy of each label by itself, for texts with several labels or none.

A linear head (K labels) reads the last token's hidden state and starts at zero: every label at a half. Its inputs are
standardised by the first training rows. Source: binary relevance, Tsoumakas & Katakis 2007.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.batch import Batch
from luthier.core.errors import LuthierError
from luthier.core.example import Example
from luthier.core.methods import Objective
from luthier.core.records import Record, Tagged, Task
from luthier.core.split import Split
from luthier.objectives.classify import scale_head

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.models.outputs import Outputs

extras = ()


@dataclass(frozen=True)
class Multilabel(Objective):
    """max_length: in tokens; a longer text loses its middle (`luthier.data.shorten`)."""

    max_length: int = 1024

    record: ClassVar[type] = Tagged
    heads: ClassVar[tuple[str, ...]] = ("tags",)
    tasks: ClassVar[tuple[Task, ...]] = ("multilabel",)

    def examples(self, lm: TrainableLM, data: Split, row: int, record: Record) -> list[Example]:
        """One place is read, the last token, and has K targets: 1 for the labels of the text, 0 for the others."""
        if not isinstance(record, Tagged):
            raise LuthierError("objective multilabel: learns from rows with a text and its labels")
        return [lm.labelled(row, record.text, data.labels, [int(label in record.tags) for label in lm.labels])]

    def setup(self, lm: TrainableLM, examples: Sequence[Any]) -> None:
        """Set the head's scaling from the first examples."""
        scale_head(lm, examples)

    def divisors(self, examples: Sequence[Any]) -> dict[str, float]:
        return {"cross_entropy": float(max(sum(len(e.targets) for e in examples), 1))}

    def loss(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        import torch.nn.functional as F

        logits = out.head("tags")
        wanted = batch.targets.view_as(logits).to(logits.dtype)
        return {"cross_entropy": F.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")}


METHOD = Multilabel
