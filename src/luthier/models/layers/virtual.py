"""Virtual tokens: what makes their vectors during training, and an embedding that knows them.

ids above the vocabulary are rows of a prompt (n, d). It trains by itself (`Table`) or is made by a small network
(`Encoder`), which is folded away after training: what ships is its output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, cast

import torch
from torch import Tensor, nn

from luthier.core.errors import LuthierError
from luthier.models.layers.surgery import placed


class VirtualEmbedding(nn.Module):
    """The frozen embedding (V, d) with a prompt (n, d) behind it; ids (…) -> (…, d).

    maker: a module without inputs that gives the prompt. first: the id of its first row, above every token's.
    """

    def __init__(self, base: nn.Embedding, maker: nn.Module, first: int) -> None:
        super().__init__()
        self.base, self.maker, self.first = base, maker, first

    @property
    def weight(self) -> Tensor:
        """The base's table: what a tied head shares."""
        return self.base.weight

    def forward(self, ids: Tensor) -> Tensor:
        virtual = ids >= self.first
        own = self.base(ids.masked_fill(virtual, 0))
        return torch.where(virtual[..., None], self.maker()[(ids - self.first).clamp(min=0)].to(own.dtype), own)


class Table(nn.Module):
    """Vectors (n, d) that train themselves."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.prompt = nn.Parameter(start)

    def forward(self) -> Tensor:
        return self.prompt


class Encoder(nn.Module):
    """Vectors scale · (table + layers(table)), which are scale · table (n, d) at first: the last layer begins at zero.

    The network's inputs and outputs are of size 1 whatever the model's vectors are: one learning rate suits all.
    """

    scale: Tensor

    def __init__(self, start: Tensor, layers: nn.Sequential) -> None:
        super().__init__()
        silence(layers)
        self.register_buffer("scale", rms(start))
        self.table = nn.Parameter(start / self.scale)
        self.layers = placed(layers, start.device)

    def forward(self) -> Tensor:
        return self.scale * (self.table + cast(Tensor, self.layers(self.table)))


class _BiLstm(nn.LSTM):
    """A bidirectional LSTM of two layers that gives its states alone."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__(size, width, num_layers=2, bidirectional=True)

    def forward(self, vectors: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(vectors)[0]


def _lstm(size: int, width: int) -> nn.Sequential:
    return nn.Sequential(_BiLstm(size, width), nn.Linear(2 * width, 2 * width), nn.ReLU(), nn.Linear(2 * width, size))


def _mlp(size: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(size, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, size)
    )  # fmt: skip


Kind = Literal["lstm", "mlp"]
ENCODERS: Mapping[Kind, Callable[[int, int], nn.Sequential]] = {"lstm": _lstm, "mlp": _mlp}


def table_from(tensors: Mapping[str, Tensor], like: Tensor) -> Table:
    """The prompt of an adapter file, of the size and on the device of `like`; rows beyond it belong to other parts."""
    found = tensors.get("prompt_embeddings")
    if found is None or found.ndim != 2 or len(found) < len(like) or found.shape[1] != like.shape[1]:
        got = "missing" if found is None else f"{tuple(found.shape)}"
        raise LuthierError(f"prompt_embeddings is {got}, and the model takes {tuple(like.shape)}")
    return Table(found[: len(like)].to(like.device, torch.float32))


def silence(layers: nn.Sequential) -> None:
    """Let the last layer give zeros."""
    last = cast(nn.Linear, layers[-1])
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)


def rms(vectors: Tensor) -> Tensor:
    """Root mean square of all numbers, ()."""
    return vectors.square().mean().sqrt()
