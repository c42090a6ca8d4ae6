"""LoRA whose B learns faster than its A: lr(B) = ratio · lr(A).

Everything else is LoRA. Source: Hayou et al. 2024, "LoRA+: Efficient Low Rank Adaptation of Large Models".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from luthier.core.methods import ParamGroup
from luthier.core.phrases import say
from luthier.patches.lora import Lora

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM
    from luthier.training.context import Context

extras = ()


@dataclass(frozen=True)
class LoraPlus(Lora):
    """ratio: of the learning rates of B and A.

    rank, alpha, targets, dropout, rank_stabilised, dora, start: as in lora.
    """

    ratio: float = 16.0

    learning_rates: ClassVar[tuple[float, ...]] = (5e-5, 2e-4, 5e-4)

    def refuses(self, ctx: Context) -> str | None:
        if self.ratio <= 0:
            return say("said_refused_ratio", value=self.ratio)
        return super().refuses(ctx)

    def attach(self, lm: TrainableLM) -> list[ParamGroup]:
        names = [name for group in super().attach(lm) for name in group.names]
        return [
            ParamGroup([n for n in names if not n.endswith(".b")]),
            ParamGroup([n for n in names if n.endswith(".b")], lr_scale=self.ratio),
        ]


METHOD = LoraPlus
