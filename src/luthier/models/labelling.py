"""A linear head that tells labels apart, on standardised hidden states."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LabelHead(nn.Module):
    """(N, d) hidden states -> (N, K) logits. weight (K, d), bias (K,) train from zero; mean, scale (d,) do not."""

    mean: Tensor
    scale: Tensor

    def __init__(self, size: int, labels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(labels, size))
        self.bias = nn.Parameter(torch.zeros(labels))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    @torch.no_grad()
    def scale_to(self, hidden: Tensor) -> None:
        """Standardise by these hidden states (N, d); a single row leaves the scale alone."""
        self.mean.copy_(hidden.float().mean(0))
        if len(hidden) > 1:
            spread = hidden.float().std(0)
            self.scale.copy_(torch.where(spread > 0, spread, torch.ones_like(spread)))

    def forward(self, hidden: Tensor) -> Tensor:
        return F.linear((hidden.float() - self.mean) / self.scale, self.weight, self.bias)
