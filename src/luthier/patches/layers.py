"""Only the last n blocks (and the final norm) train.

The blocks below run once per example and are cached. A head tied to the embedding stays frozen unless `untie` gives it
a weight of its own, which then trains too.
Source: partial fine-tuning, e.g. Yosinski et al. 2014; Lee et al. 2019 ("What would Elsa do?").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.methods import ParamGroup
from luthier.core.phrases import say
from luthier.models.layers.surgery import untie_head
from luthier.models.layers.weights import WeightPatch

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM
    from luthier.training.context import Context

extras = ()
NORMS = (
    "norm",
    "ln_f",
    "final_layernorm",
    "final_layer_norm",
    "final_norm",
)  # what stands between the blocks and the head


@dataclass(frozen=True)
class Layers(WeightPatch):
    """n: how many of the last blocks train. untie: give a tied vocabulary head its own weight and train it."""

    n: int = 2
    untie: bool = False
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    learning_rates: ClassVar[tuple[float, ...]] = (5e-5, 2e-4, 5e-4)

    def refuses(self, ctx: Context) -> str | None:
        if self.n < 1:
            return say("said_refused_least", name="n", least=1, value=self.n)
        if self.untie and ctx.policy.model.get_output_embeddings() is None:
            return say("said_refused_head")
        config: Any = ctx.policy.model.config
        # of an encoder-decoder it is the decoder's blocks that count
        names = ("num_decoder_layers", "decoder_layers", "num_hidden_layers")
        count = int(next(value for name in names if (value := getattr(config, name, None)) is not None))
        if self.n <= count:
            return None
        return say("said_refused_block", n=self.n) if count == 1 else say("said_refused_blocks", count=count, n=self.n)

    def attach(self, lm: TrainableLM) -> list[ParamGroup]:
        if self.untie:
            self._kept["tied"] = untie_head(lm.model)
        chosen = {id(p) for block in lm.blocks[len(lm.blocks) - self.n :] for p in block.parameters()}
        norms = [m for n, m in lm.decoder.named_children() if n in NORMS]
        chosen |= {id(p) for module in norms for p in module.parameters()}
        head = lm.model.get_output_embeddings()
        if head is not None and head.weight is not lm.model.get_input_embeddings().weight:
            chosen.add(id(head.weight))
        names = [n for n, p in lm.model.named_parameters() if id(p) in chosen]
        self.keep(lm, names)
        return [ParamGroup(names)]

    def cut(self, lm: TrainableLM) -> int | None:
        return len(lm.blocks) - self.n

    def merge(self, lm: TrainableLM) -> bool:
        return True


METHOD = Layers
