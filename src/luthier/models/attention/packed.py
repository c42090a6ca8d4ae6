"""Attention over sequences laid end to end: registered with transformers as the implementation named "luthier".

A forward pass runs inside `using(layout)`: the *layout* knows which keys a query may see, and every attention module
asks it, whatever keywords the model hands down. `Packed` serves training and scoring: segments without padding and
without a mask tensor, optionally behind a prefix whose keys and values were computed once, or are learned.
`Bidirectional` serves encoders: segments, each token of which sees its whole segment. `slots.Step` serves generation:
one new token a row against buffers of keys and values. All keep grouped-query heads grouped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from luthier.models.attention.blocked import causal, serves

NAME = "luthier"  # of the implementation, as transformers knows it
KeysValues = dict[int, tuple[Tensor, Tensor]]  # layer -> keys and values, (1, kv_heads, tokens, head_dim)


def joined(first: KeysValues, then: KeysValues) -> KeysValues:
    """Keys and values of one stretch of tokens, and behind them those of another."""
    return {i: (torch.cat([first[i][0], k], 2), torch.cat([first[i][1], v], 2)) for i, (k, v) in then.items()}


@dataclass(frozen=True)
class How:
    """What an attention module says of its own scores.

    scale: of q kᵀ; None: head_dim ** -0.5. window: tokens that a query sees, itself included. softcap: scores are bent
    to softcap · tanh(score / softcap), Gemma 2's.
    """

    scale: float | None = None
    window: int | None = None
    softcap: float | None = None


class Layout(Protocol):
    """Who may look at whom in one forward pass."""

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, how: How) -> Tensor:
        """q: (B, heads, T, d), k: (B, kv_heads, T, d), v: (B, kv_heads, T, e); gives (B, heads, T, e)."""
        ...


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, ordered: bool, how: How) -> Tensor:
    """q (B, heads, n, d), k (B, kv_heads, m, d), v (B, kv_heads, m, e) -> (B, heads, n, e).

    mask: bool, True where a key is seen; ordered: causal, with as many queries as keys.
    """
    share = q.shape[1] // k.shape[1]
    if how.softcap is None:
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=ordered, scale=how.scale, enable_gqa=share > 1
        )
    k, v = (t.repeat_interleave(share, 1) for t in (k, v))
    scores = (q @ k.transpose(2, 3)) * (q.shape[-1] ** -0.5 if how.scale is None else how.scale)
    scores = torch.tanh(scores / how.softcap) * how.softcap
    if ordered:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1, dtype=torch.float32).to(q.dtype) @ v


@dataclass
class _Segments:
    """Segments of one row of T tokens, each of which sees the shared `prefix` and what `_mask` lets it see of itself.

    behind: of each segment the one that it goes on from and behind how many of its tokens, which it sees; see `Batch`.
    record: filled with every layer's own keys and values when it is a dictionary.
    """

    segments: Sequence[int]
    masks: Sequence[Tensor | None] | None = None
    prefix: KeysValues | None = None
    record: KeysValues | None = None
    behind: Sequence[tuple[int, int] | None] = ()
    _ready: dict[tuple[int, int, int | None], Tensor | None] = field(default_factory=dict)

    causal: ClassVar[bool]  # what no mask means

    def _mask(self, index: int, n: int, past: int, window: int | None, device: torch.device) -> Tensor | None:
        """(n, past + n) bool, True where a key is seen, of segment `index`; None where nothing needs to be hidden."""
        raise NotImplementedError

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, how: How) -> Tensor:
        if self.record is not None:
            self.record[layer] = (k, v)
        lengths, out = list(self.segments), []
        keys, values = k.split(lengths, 2), v.split(lengths, 2)
        for i, (a, b, c) in enumerate(zip(q.split(lengths, 2), keys, values, strict=True)):
            before = [self.prefix[layer]] if self.prefix is not None else []
            if self.behind and (shared := self.behind[i]):
                before.append((keys[shared[0]][:, :, : shared[1]], values[shared[0]][:, :, : shared[1]]))
            if before:
                b, c = (torch.cat(parts, 2) for parts in zip(*before, (b, c), strict=True))
            past, window = b.shape[2] - a.shape[2], how.window
            if self._plainly(i, b.shape[2], window) and how.softcap is None and serves(a, b, c):
                out.append(causal(a, b, c, a.shape[-1] ** -0.5 if how.scale is None else how.scale))
            else:
                mask = self._mask(i, a.shape[2], past, window, q.device)
                out.append(attention(a, b, c, mask, mask is None and self.causal, how))
        return out[0] if len(out) == 1 else torch.cat(out, 2)

    def _plainly(self, index: int, keys: int, window: int | None) -> bool:
        """Whether each token of segment `index` sees all keys up to its own."""
        return self.causal and (self.masks is None or self.masks[index] is None) and not (window and keys > window)


@dataclass
class Packed(_Segments):
    """Segments that see themselves causally unless `masks` says else.

    masks: per segment None (causal) or (n, n) bool, True where the key is seen. A window counts the prefix, too.
    """

    causal = True

    def _mask(self, index: int, n: int, past: int, window: int | None, device: torch.device) -> Tensor | None:
        own = self.masks[index] if self.masks is not None else None
        narrow = window is not None and n + past > window
        if own is None and not past and not narrow:
            return None
        key = (index if own is not None else -n, past, window if narrow else None)
        if key not in self._ready:  # the same for every layer
            own = torch.ones(n, n, dtype=torch.bool, device=device).tril() if own is None else own
            mask = torch.cat([torch.ones(n, past, dtype=torch.bool, device=device), own], 1)
            if narrow and window is not None:  # a token's place is how many it sees: answers side by side share places
                at = mask.sum(1)
                before = torch.arange(1, past + 1, device=device)
                mask &= at[:, None] - torch.cat([before, at])[None, :] < window
            self._ready[key] = mask
        return self._ready[key]


@dataclass
class Bidirectional(_Segments):
    """Segments each token of which sees the whole, or `window` - 1 tokens to either side, and all of the prefix."""

    causal = False

    def _mask(self, index: int, n: int, past: int, window: int | None, device: torch.device) -> Tensor | None:
        if window is None or n <= window:
            return None
        if (n, past, window) not in self._ready:  # the same for every layer
            at = torch.arange(n, device=device)
            near = (at[:, None] - at[None, :]).abs() < window
            self._ready[n, past, window] = torch.cat([near.new_ones(n, past), near], 1)
        return self._ready[n, past, window]


_LAYOUT: ContextVar[Layout] = ContextVar("layout")


@contextmanager
def using(layout: Layout) -> Iterator[None]:
    """The layout that attention modules ask, for the length of a `with` block and in this thread alone."""
    token = _LAYOUT.set(layout)
    try:
        yield
    finally:
        _LAYOUT.reset(token)


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    how = How(options.get("scaling"), options.get("sliding_window") or None, options.get("softcap") or None)
    out = _LAYOUT.get().attend(getattr(module, "layer_idx", 0), query, key, value, how)
    return out.transpose(1, 2), None


def register() -> str:
    """Make the implementation known to transformers; gives its name. No mask function: no mask is ever built."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attention)
    return NAME
