"""What stands between an encoder's last states and its vocabulary: the head of a masked language model."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from luthier.models.blocks import input_of


class _Given(nn.Module):
    """In place of an encoder: states that are known."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states

    def forward(self, *_: object, **__: object) -> Any:
        from transformers.modeling_outputs import BaseModelOutput

        return BaseModelOutput(last_hidden_state=self.states)  # type: ignore[arg-type]


class MaskHead(nn.Module):
    """(N, d) last states -> (N, d) what the vocabulary's weights are multiplied with, as the model itself computes it.

    model: a masked language model of transformers; its parts besides the encoder are this module's.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._whole = [model]  # in a list: not a part of it
        for name, part in model.named_children():
            if part is not model.base_model:
                self.add_module(name, part)

    @property
    def whole(self) -> Any:
        """The masked language model."""
        return self._whole[0]

    @property
    def output(self) -> nn.Linear:
        """The vocabulary's weights and bias."""
        found: nn.Linear = self.whole.get_output_embeddings()
        return found

    def forward(self, states: Tensor) -> Tensor:
        whole, name = self.whole, self.whole.base_model_prefix
        own = getattr(whole, name)
        whole._modules[name] = _Given(states[None])
        try:  # its own forward pass, between its encoder and its last product
            return input_of(self.output, lambda: whole(input_ids=states.new_zeros(1, len(states)).long()))[0]
        finally:
            whole._modules[name] = own
