"""Learned prompts in the top layers, mixed into attention through gates that start at zero.

In each of these blocks the queries of the text also look at a prompt of its own (n, d), through the block's own key and
value projections, with a softmax of its own and without positions; what they find is added times the block's gate.
In an encoder-decoder each stack's self-attention has them.
Source: Zhang et al. 2023, "LLaMA-Adapter: Efficient Fine-tuning of Language Models with Zero-init Attention".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.methods import ParamGroup, Patch
from luthier.core.phrases import say

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.training.context import Context

extras = ()


@dataclass(frozen=True)
class LlamaAdapter(Patch):
    """tokens: n, of each prompt. layers: how many blocks from the top; 30 of 32 unless given."""

    tokens: int = 10
    layers: int | None = None
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    learning_rates: ClassVar[tuple[float, ...]] = (1e-2, 3e-2, 1e-1)

    def refuses(self, ctx: Context) -> str | None:
        from luthier.models.layers.prompted import unsuited

        if self.tokens < 1:
            return say("said_refused_least", name="tokens", least=1, value=self.tokens)
        if self.layers is not None and self.layers < 1:
            return say("said_refused_least", name="layers", least=1, value=self.layers)
        return unsuited(ctx.policy.model)

    def count(self, blocks: int) -> int:
        """How many of so many blocks have a prompt."""
        return min(blocks, self.layers or max(1, blocks * 30 // 32))

    def attach(self, lm: TrainableLM) -> list[ParamGroup]:
        from luthier.models.layers.prompted import NAME, LearnedPrompt, attentions, wrap_attention

        wrap_attention(lm.model)
        size: int = lm.model.config.hidden_size  # what a block's states have
        self._kept["places"] = [(m, LearnedPrompt(self.tokens, size, lm.device)) for m in attentions(lm, self.count)]
        for module, learned in self._kept["places"]:
            setattr(module, NAME, learned)
        return [ParamGroup(list(self._own(lm)))]

    def _own(self, lm: TrainableLM) -> dict[str, Tensor]:
        own = {id(p) for _, learned in self._kept["places"] for p in learned.parameters()}
        return {name: p.detach() for name, p in lm.model.named_parameters() if id(p) in own}

    def detach(self, lm: TrainableLM) -> None:
        from luthier.models.layers.prompted import NAME, unwrap_attention

        for module, _ in self._kept.get("places", []):
            delattr(module, NAME)
        self._kept.clear()
        unwrap_attention(lm.model)

    @contextmanager
    def off(self, lm: TrainableLM) -> Iterator[None]:
        from luthier.models.layers.prompted import NAME

        for module, _ in self._kept["places"]:
            delattr(module, NAME)
        try:
            yield
        finally:
            for module, learned in self._kept["places"]:
                setattr(module, NAME, learned)

    def cut(self, lm: TrainableLM) -> int | None:
        return len(lm.blocks) - self.count(len(lm.blocks)) if len(lm.stacks) == 1 else None

    def export(self, lm: TrainableLM) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return self._own(lm), {}

    def load(self, lm: TrainableLM, tensors: Mapping[str, Tensor]) -> None:
        from luthier.models.layers.peft_files import take

        take(self._own(lm), tensors)


METHOD = LlamaAdapter
