"""How each layer of a model turns its keys by their position (rotary positions), found by trying.

One token alone attends to itself, so that its states are the same wherever it stands, and of its keys only the turn
differs. Each layer's is looked for among the frequencies that the model holds, and pairs of halves or of neighbours.
Source: Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding".
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from luthier.core.errors import Refused
from luthier.core.phrases import say
from luthier.models.attention.packed import How

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM

PLACES = (1, 50)  # at which a turn is tried


@dataclass(frozen=True, eq=False)
class Rotation:
    """A layer's. frequencies: radians a place of each pair (pairs,); none where it turns nothing.

    at: the first number of a head that is turned. neighbours: pairs are (0, 1), (2, 3)…, else of two halves.
    """

    frequencies: Tensor
    at: int = 0
    neighbours: bool = False

    def angles(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines (T, pairs) at places (T,)."""
        turns = places[:, None].float() * self.frequencies
        return turns.cos(), turns.sin()

    def turned(self, x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
        """x (B, heads, T, head_dim) turned by these; the inverse for places below zero."""
        cos, sin = (t.to(x.dtype) for t in angles)
        end = self.at + 2 * cos.shape[1]
        part = x[..., self.at : end]
        one, two = (part[..., 0::2], part[..., 1::2]) if self.neighbours else part.chunk(2, -1)
        out = x.clone()
        into = out[..., self.at : end]
        first, second = (into[..., 0::2], into[..., 1::2]) if self.neighbours else into.chunk(2, -1)
        torch.mul(one, cos, out=first).addcmul_(two, sin, value=-1)
        torch.mul(two, cos, out=second).addcmul_(one, sin)
        return out

    def at_place(self, x: Tensor, place: int) -> Tensor:
        """x (B, heads, 1, head_dim) at one place."""
        return self.turned(x, self.angles(torch.tensor([place], device=x.device)))


class _Alone:
    """One token, which finds itself. keys: (1, kv_heads, 1, head_dim) of each layer."""

    def __init__(self) -> None:
        self.keys: dict[int, Tensor] = {}

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, how: How) -> Tensor:
        self.keys[layer] = k
        return v.repeat_interleave(q.shape[1] // k.shape[1], 1)


@torch.no_grad()
def rotations(lm: CausalLM) -> dict[int, Rotation]:
    """By layer. Raises Refused where the keys of one differ between places by more than a turn."""
    from luthier.models.loading.plain import close, tokens

    kind, dtype = type(lm.model).__name__, lm.head.weight.dtype
    token = tokens(lm)[0][None, :1]
    seen: dict[int, dict[int, Tensor]] = {}
    states = []
    for place in (0, *PLACES):
        layout = _Alone()
        states.append(lm.forward(token, torch.tensor([[place - lm.ahead]], device=lm.device), layout)[0])
        seen[place] = layout.keys
    if not all(close(state, states[0], dtype) for state in states):
        raise Refused(say("said_refused_stream_places", kind=kind))
    ways: dict[int, list[Rotation]] = {}
    found = {}
    for layer, start in seen[0].items():
        known = ways.setdefault(start.shape[-1], _candidates(lm, start.shape[-1]))
        fits = [way for way in known if all(close(way.at_place(start, p), seen[p][layer], dtype) for p in PLACES)]
        if not fits:
            raise Refused(say("said_refused_stream_keys", kind=kind, layer=layer + 1))
        found[layer] = fits[0]
    return found


def _candidates(lm: CausalLM, size: int) -> list[Rotation]:
    """For heads of that size: no turn, and every set of frequencies that the model holds in each way it may stand."""
    known = [buffer for name, buffer in lm.decoder.named_buffers() if name.endswith("inv_freq")]
    sets = [f.float() for f in known if f.ndim == 1 and 2 * len(f) <= size]
    ways = [Rotation(f, at, n) for f, n in product(sets, (False, True)) for at in dict.fromkeys((0, size - 2 * len(f)))]
    return [Rotation(torch.zeros(0, device=lm.device)), *ways]
