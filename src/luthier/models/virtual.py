"""An embedding that also knows virtual tokens: ids at or above the vocabulary are rows of a trained table."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class VirtualEmbedding(nn.Module):
    """The frozen embedding (V, d) with a prompt (n, d) behind it; ids (…) below V + n -> (…, d)."""

    def __init__(self, base: nn.Embedding, prompt: Tensor) -> None:
        super().__init__()
        self.base, self.prompt = base, nn.Parameter(prompt)

    @property
    def weight(self) -> Tensor:
        """The base's table: what a tied head shares."""
        return self.base.weight

    def forward(self, ids: Tensor) -> Tensor:
        size = self.base.num_embeddings
        virtual = (ids - size).clamp(min=0)
        own = self.base(ids.clamp(max=size - 1))
        return torch.where((ids >= size)[..., None], self.prompt[virtual].to(own.dtype), own)
