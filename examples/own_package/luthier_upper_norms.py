"""Only the norms of the upper half of the blocks train.

The smallest change that still reaches what the last blocks do: a few thousand numbers to ship.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.methods import ParamGroup
from luthier.models.layers.weights import WeightPatch

if TYPE_CHECKING:
    from torch import nn

    from luthier.models.base import TrainableLM
    from luthier.training.context import Context

extras = ()


def upper(model: nn.Module) -> list[str]:
    """Parameters of norms, of every kind, in the second half of the model's parameters."""
    norms = [name for name, _ in model.named_parameters() if "norm" in name.lower()]
    return norms[len(norms) // 2 :]


@dataclass(frozen=True)
class UpperNorms(WeightPatch):
    """weight_decay: AdamW's."""

    weight_decay: float = 0.0
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    learning_rates: ClassVar[tuple[float, ...]] = (1e-3, 3e-3, 1e-2)

    def refuses(self, ctx: Context) -> str | None:
        return None if upper(ctx.policy.model) else "the model has no norms with weights"

    def attach(self, lm: TrainableLM) -> list[ParamGroup]:
        names = upper(lm.model)
        self.keep(lm, names)
        return [ParamGroup(names, weight_decay=self.weight_decay)]

    def merge(self, lm: TrainableLM) -> bool:
        return True  # the trained weights are the model's own


METHOD = UpperNorms
