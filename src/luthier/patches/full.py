"""Every weight trains, none is frozen.

The plain way to fine-tune; a head tied to the embedding trains with it. Ships as a whole model.
Source: common practice since Howard & Ruder 2018 and Devlin et al. 2019.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from luthier.core.methods import ParamGroup
from luthier.models.labelling import HEADS_AT
from luthier.models.layers.weights import WeightPatch

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM

extras = ()


@dataclass(frozen=True)
class Full(WeightPatch):
    """weight_decay: AdamW's, on matrices only."""

    weight_decay: float = 0.0
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    learning_rates: ClassVar[tuple[float, ...]] = (2e-5, 5e-5, 1e-4)
    save_as: ClassVar[Literal["adapter", "model"]] = "model"

    def attach(self, lm: TrainableLM) -> list[ParamGroup]:
        names = [n for n, _ in lm.model.named_parameters() if not n.startswith(HEADS_AT)]
        self.keep(lm, names)
        params = dict(lm.model.named_parameters())
        matrices = [n for n in names if params[n].dim() > 1]
        vectors = [n for n in names if params[n].dim() <= 1]
        return [ParamGroup(matrices, weight_decay=self.weight_decay), ParamGroup(vectors)]

    def merge(self, lm: TrainableLM) -> bool:
        return True


METHOD = Full
