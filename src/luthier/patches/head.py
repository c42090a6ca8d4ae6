"""A new output layer on a frozen backbone.

For classification a linear label head on the state that stands for the text; for writing an untied copy of the
vocabulary head.
The backbone runs once per example, not once per epoch.
Source: linear probing, Alain & Bengio 2016; "feature-based" adaptation in Peters et al. 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.methods import ParamGroup, Patch
from luthier.models.layers.surgery import untie_head
from luthier.models.layers.weights import WeightPatch

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM

extras = ()


@dataclass(frozen=True)
class Head(WeightPatch):
    """weight_decay: AdamW's, on the new layer."""

    weight_decay: float = 0.0
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    learning_rates: ClassVar[tuple[float, ...]] = (3e-4, 1e-3, 3e-3)
    objectives: ClassVar[Mapping[str, str]] = {**Patch.objectives, "classification": "classify"}

    def attach(self, lm: TrainableLM) -> list[ParamGroup]:
        if lm.label_head is not None:
            return []  # the label head is the patch: whoever made it trains it
        if hasattr(lm.model, "mask_head"):
            names = [n for n, p in lm.model.named_parameters() if n.startswith("mask_head.")]
            self.keep(lm, names)
            return [ParamGroup(names, weight_decay=self.weight_decay)]
        head = lm.model.get_output_embeddings()
        self._kept["tied"] = untie_head(lm.model)
        name = next(n for n, p in lm.model.named_parameters() if p is head.weight)
        self.keep(lm, [name])
        return [ParamGroup([name], weight_decay=self.weight_decay)]

    def cut(self, lm: TrainableLM) -> int | None:
        return None if hasattr(lm.model, "mask_head") else len(lm.blocks)  # the mask head has layers of its own

    def merge(self, lm: TrainableLM) -> bool:
        return True  # the vocabulary head is the model's own; a label head changes none of its weights


METHOD = Head
