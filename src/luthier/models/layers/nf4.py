"""A linear layer whose weight is held in 4 bits, in blocks of 64 numbers with a scale each.

The weight is written out in the model's own number format whenever it is used, forward and backward, and is not kept.
Double quantisation holds the scales in 8 bits: their mean apart, in blocks of 256. A number takes 0.5 bytes and
4 / 64 for its scale, or 1 / 64 + 4 / (64 · 256). bitsandbytes does both on CPUs and GPUs; the product itself is
torch's. Source: Dettmers et al. 2023, "QLoRA".
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
    """Stands for a linear layer (or GPT-2's Conv1D): the same product with its rounded weight, its bias shared.

    quant: nf4 or fp4, which 16 numbers there are. double: whether the scales are quantised, too. compute: the type that
    products are taken in, where it is not the weight's own.
    """

    packed: Tensor

    def __init__(
        self, layer: nn.Module, quant: str = "nf4", double: bool = True, compute: torch.dtype | None = None
    ) -> None:
        super().__init__()
        quantize_4bit = _bitsandbytes().quantize_4bit
        matrix = matrix_of(layer).detach().contiguous()
        self.bias: nn.Parameter | None = layer.bias  # type: ignore[assignment]
        packed, self.state = quantize_4bit(matrix, compress_statistics=double, quant_type=quant)
        self.register_buffer("packed", packed, persistent=False)
        self.compute = None if compute == matrix.dtype else compute
        for state in self._states():  # the same numbers for every layer: held once
            state.code = _table(tuple(state.code.tolist()), matrix.device)

    def _states(self) -> list[Any]:
        """What bitsandbytes keeps of the weight, and of its scales where they are quantised."""
        return [state for state in (self.state, self.state.state2) if state is not None]

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
        yield self.packed
        for state in self._states():
            yield from (t for t in (state.absmax, state.code, state.offset) if t is not None)

    def product(self, x: Tensor) -> Tensor:
        """x Wᵀ in the compute type, given in the type of x; nothing is kept of W for the backward pass."""
        from luthier.models.layers.lowrank import frozen_product

        kind = self.compute or x.dtype
        return frozen_product(x.to(kind), lambda: self.weight.to(kind)).to(x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        y = self.product(x)
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
