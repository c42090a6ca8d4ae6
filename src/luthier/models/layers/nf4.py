"""A linear layer whose weight is held in 4 bits: NormalFloat in blocks of 64, their scales held in 8 bits.

The weight is written out in the model's own number format whenever it is used, forward and backward, and is not kept.
bitsandbytes does both on CPUs and GPUs; the product itself is torch's. Source: Dettmers et al. 2023, "QLoRA".
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from luthier.models.layers.surgery import matrix_of, transposed
from luthier.models.loading.quiet import quiet


class Nf4Linear(nn.Module):
    """Stands for a linear layer (or GPT-2's Conv1D): the same product with its rounded weight, its bias shared."""

    packed: Tensor

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        quantize_4bit = _bitsandbytes().quantize_4bit
        matrix = matrix_of(layer).detach().contiguous()
        self.bias: nn.Parameter | None = layer.bias  # type: ignore[assignment]
        packed, self.state = quantize_4bit(matrix, compress_statistics=True, quant_type="nf4")
        self.register_buffer("packed", packed, persistent=False)
        for state in (self.state, self.state.state2):  # the same numbers for every layer: held once
            state.code = _table(tuple(state.code.tolist()), matrix.device)

    @property
    def weight(self) -> Tensor:
        """The rounded weight (out, in), written out anew at every call."""
        found: Tensor = _bitsandbytes().dequantize_4bit(self.packed, self.state)
        return found

    def folded(self) -> Tensor:
        """What stands in a full-precision layer's weight to give the same product: (out, in)."""
        return self.weight

    def held(self) -> Iterator[Tensor]:
        """Every tensor that the weight is made of."""
        state: Any = self.state
        yield from (self.packed, state.absmax, state.offset, state.code, state.state2.absmax, state.state2.code)

    def forward(self, x: Tensor) -> Tensor:
        from luthier.models.layers.lowrank import frozen_product

        y = frozen_product(x, lambda: self.weight)
        return y if self.bias is None else y + self.bias


@cache
def _bitsandbytes() -> Any:
    """Its functions. Where `kernels` is installed it would fetch compiled code from the hub: it is not to find it."""
    logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
    level, fetcher = logger.level, sys.modules.get("kernels")
    logger.setLevel(logging.ERROR)
    sys.modules["kernels"] = None  # type: ignore[assignment]
    try:
        with quiet(), _disable_current_modes():
            found = importlib.import_module("bitsandbytes.functional")
            found.quantize_4bit(torch.zeros(64, 64), compress_statistics=True, quant_type="nf4")
            return found  # the tables that it keeps are made now, with their numbers, also within a dry run
    finally:
        logger.setLevel(level)
        if fetcher is None:
            del sys.modules["kernels"]
        else:
            sys.modules["kernels"] = fetcher


@cache
def _table(values: tuple[float, ...], device: torch.device) -> Tensor:
    with _disable_current_modes():
        return torch.tensor(values, device=device)


def linear_bytes(stacks: Iterable[nn.ModuleList]) -> tuple[int, int]:
    """Bytes that the weights of the blocks' linear layers take as they are held, and would take in bf16.

    Measured: the tensors that are there, each memory once.
    """
    held: dict[int, int] = {}
    numbers = 0
    for stack in stacks:
        for module in stack.modules():
            tensors: list[Tensor] = []
            if isinstance(module, Nf4Linear):
                tensors, count = list(module.held()), module.state.shape.numel()
            elif isinstance(module, nn.Linear) or transposed(module):
                weight: Tensor = module.weight  # type: ignore[assignment]
                tensors, count = [weight], weight.numel()
            if tensors:
                numbers += count
                held |= {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}
    return sum(held.values()), 2 * numbers
