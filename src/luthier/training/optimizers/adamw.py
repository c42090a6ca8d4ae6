"""AdamW: every weight by its own running mean and square of gradients. Source: Loshchilov and Hutter 2019."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch

from luthier.training.optimizers import Parts


def make(
    groups: Sequence[dict[str, Any]], hidden: Collection[int], rate: float, epsilon: float, parts: Parts
) -> torch.optim.AdamW:
    """The optimiser over these groups."""
    return torch.optim.AdamW(list(groups), lr=rate, eps=epsilon, fused=True)
