"""What tests of windows and streams share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from luthier.models.causal import CausalLM


def drawn(lm: CausalLM, *sizes: int) -> list[list[int]]:
    """Random texts of these lengths."""
    random = torch.Generator().manual_seed(0)
    return [torch.randint(3, len(lm.tokenizer), (n,), generator=random).tolist() for n in sizes]


class Fixed(nn.Module):
    """A maker of learned numbers that gives those it was given."""

    def __init__(self, numbers: Tensor) -> None:
        super().__init__()
        self.numbers = numbers

    def forward(self) -> Tensor:
        return self.numbers
