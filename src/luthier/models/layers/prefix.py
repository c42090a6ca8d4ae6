"""Learned keys and values that stand before every layer's own, as if n tokens had been read."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from luthier.core.errors import LuthierError
from luthier.models.layers.surgery import placed
from luthier.models.layers.virtual import silence

if TYPE_CHECKING:
    from luthier.models.attention.packed import KeysValues


class LearnedPrefix(nn.Module):
    """n keys and values a layer, made by `maker`: a module without inputs, giving (n, layers · 2 · heads · head_dim).

    The order of the numbers is PEFT's: layer, keys then values, head. shape: layers, key-value heads, head_dim.
    dtype: the model's.
    """

    def __init__(self, maker: nn.Module, n: int, shape: tuple[int, int, int], dtype: torch.dtype) -> None:
        super().__init__()
        self.maker, self.n, self.shape, self.dtype = maker, n, shape, dtype

    def forward(self) -> KeysValues:
        layers, heads, size = self.shape
        parts = self.maker().to(self.dtype).view(self.n, layers, 2, heads, size).permute(1, 2, 3, 0, 4)
        return {i: (keys[None], values[None]) for i, (keys, values) in enumerate(parts)}

    @torch.no_grad()
    def numbers(self) -> Tensor:
        """All of them as they are now, (n, layers · 2 · heads · head_dim)."""
        return cast(Tensor, self.maker()).detach()


def flat(record: KeysValues) -> Tensor:
    """Keys and values (1, heads, n, head_dim) of every layer as (n, layers · 2 · heads · head_dim)."""
    parts = torch.stack([torch.cat(record[i]) for i in range(len(record))])
    return parts.permute(3, 0, 1, 2, 4).flatten(1).float()


def to_peft(numbers: Tensor, layers: int, decoder: bool) -> Tensor:
    """The numbers as PEFT keeps them: of an encoder-decoder's decoder, it uses every second layer's only."""
    if not decoder:
        return numbers
    parts = numbers.view(len(numbers), layers, 1, -1)
    return torch.cat([parts, torch.zeros_like(parts)], 2).flatten(1)


def from_peft(numbers: Tensor, shape: tuple[int, int, int], decoder: bool) -> Tensor:
    """The inverse, of what PEFT wrote, too: its decoder's layer i uses the numbers of layer 2i, counted in a ring.

    Raises LuthierError where they are for another model.
    """
    layers, heads, size = shape
    parts, over = divmod(numbers.shape[-1], 2 * heads * size)
    if numbers.ndim != 2 or over or (parts < layers if decoder else parts != layers):
        want = f"{2 * heads * size} numbers for each of {layers} layers"
        raise LuthierError(f"prompt_embeddings is {tuple(numbers.shape)}, and the model takes {want}")
    if not decoder:
        return numbers
    return numbers.view(len(numbers), parts, -1)[:, [2 * i % parts for i in range(layers)]].flatten(1)


class PrefixMlp(nn.Module):
    """Numbers start + scale · layers(table), those of `record` at first; table: (n, width), tanh between.

    scale: the start's size by layer, keys and values apart, so that the network's outputs are of size 1.
    """

    start: Tensor
    scale: Tensor

    def __init__(self, record: KeysValues, width: int) -> None:
        super().__init__()
        start = flat(record)
        size = start.shape[1] // (2 * len(record))
        scale = start.view(len(start), -1, size).square().mean((0, 2)).sqrt().repeat_interleave(size)
        layers = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, start.shape[1]))
        silence(layers)
        self.register_buffer("start", start)
        self.register_buffer("scale", scale)
        self.table = nn.Parameter(torch.randn(len(start), width).to(start.device))
        self.layers = placed(layers, start.device)

    def forward(self) -> Tensor:
        return self.start + self.scale * cast(Tensor, self.layers(self.table))
