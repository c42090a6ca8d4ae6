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
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from luthier.core.window import Window
from luthier.models.attention.blocked import causal, serves
from luthier.models.attention.windowed import Block, blocks, seen

NAME = "luthier"  # of the implementation, as transformers knows it
KeysValues = dict[int, tuple[Tensor, Tensor]]  # layer -> keys and values, (1, kv_heads, tokens, head_dim)


def joined(first: KeysValues, then: KeysValues) -> KeysValues:
    """Keys and values of one stretch of tokens, and behind them those of another."""
    return {i: (torch.cat([first[i][0], k], 2), torch.cat([first[i][1], v], 2)) for i, (k, v) in then.items()}


@dataclass(frozen=True)
class How:
    """What an attention module says of its own scores.

    scale: of q kᵀ; None: head_dim ** -0.5. window: tokens that a query sees, itself included. softcap: scores are bent
    to softcap · tanh(score / softcap), Gemma 2's. sinks: first tokens that are seen beside the window.
    """

    scale: float | None = None
    window: int | None = None
    softcap: float | None = None
    sinks: int = 0

    def narrowed(self, within: Window | None) -> How:
        """With a window that the model is put behind; a layer's own stays where it is the narrower one."""
        if within is None or (self.window is not None and self.window < within.reach):
            return self
        return replace(self, window=within.size, sinks=within.sinks)

    def hides(self, keys: int) -> bool:
        """Whether the last of so many tokens does not see them all."""
        return self.window is not None and keys > self.window + self.sinks


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
    _ready: dict[tuple[int, ...], Tensor | None] = field(default_factory=dict)

    causal: ClassVar[bool]  # what no mask means

    def _mask(self, index: int, n: int, past: int, how: How, device: torch.device) -> Tensor | None:
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
            out.append(self._segment(i, a, b, c, how))
        return out[0] if len(out) == 1 else torch.cat(out, 2)

    def _segment(self, index: int, q: Tensor, k: Tensor, v: Tensor, how: How) -> Tensor:
        """What segment `index` finds among the keys before it and its own."""
        n, past = q.shape[2], k.shape[2] - q.shape[2]
        mask = self._mask(index, n, past, how, q.device)
        return attention(q, k, v, mask, mask is None and self.causal, how)


@dataclass
class Packed(_Segments):
    """Segments that see themselves causally unless `masks` says else.

    masks: per segment None (causal) or (n, n) bool, True where the key is seen. A window counts the prefix, too.
    """

    _blocks: dict[tuple[int, ...], list[Block]] = field(default_factory=dict)

    causal = True

    def _segment(self, index: int, q: Tensor, k: Tensor, v: Tensor, how: How) -> Tensor:
        narrow = how.hides(k.shape[2])
        if self.masks is not None and self.masks[index] is not None:
            return super()._segment(index, q, k, v, how)
        if narrow:
            return self._windowed(q, k, v, how)
        if how.softcap is None and serves(q, k, v):
            return causal(q, k, v, q.shape[-1] ** -0.5 if how.scale is None else how.scale)
        return super()._segment(index, q, k, v, how)

    def _windowed(self, q: Tensor, k: Tensor, v: Tensor, how: How) -> Tensor:
        n, past, window = q.shape[2], k.shape[2] - q.shape[2], how.window or 0
        key = (n, past, window, how.sinks)
        if key not in self._blocks:  # the same for every layer
            self._blocks[key] = list(blocks(*key, q.device))
        parts = [attention(q[:, :, b.at : b.end], b.of(k), b.of(v), b.mask, False, how) for b in self._blocks[key]]
        return torch.cat(parts, 2)

    def _mask(self, index: int, n: int, past: int, how: How, device: torch.device) -> Tensor | None:
        own = self.masks[index] if self.masks is not None else None
        if own is None and not past:
            return None
        window = how.window if how.hides(n + past) else None
        key = (index if own is not None else -n, past, window or 0, how.sinks if window else 0)
        if key not in self._ready:  # the same for every layer
            own = torch.ones(n, n, dtype=torch.bool, device=device).tril() if own is None else own
            mask = torch.cat([torch.ones(n, past, dtype=torch.bool, device=device), own], 1)
            if window is not None:  # a token's place is how many it sees: answers side by side share places
                at = mask.sum(1) - 1
                mask &= seen(at[:, None], torch.cat([torch.arange(past, device=device), at]), window, how.sinks)
            self._ready[key] = mask
        return self._ready[key]


@dataclass
class Bidirectional(_Segments):
    """Segments each token of which sees the whole, or `window` - 1 tokens to either side, and all of the prefix."""

    causal = False

    def _mask(self, index: int, n: int, past: int, how: How, device: torch.device) -> Tensor | None:
        if (window := how.window) is None or n <= window:
            return None
        if (n, past, window) not in self._ready:  # the same for every layer
            at = torch.arange(n, device=device)
            near = (at[:, None] - at[None, :]).abs() < window
            self._ready[n, past, window] = torch.cat([near.new_ones(n, past), near], 1)
        return self._ready[n, past, window]


_LAYOUT: ContextVar[tuple[Layout, Window | None]] = ContextVar("layout")


@contextmanager
def using(layout: Layout, within: Window | None = None) -> Iterator[None]:
    """The layout that attention modules ask, for the length of a `with` block and in this thread alone.

    within: what a token sees of its text, in every layer.
    """
    token = _LAYOUT.set((layout, within))
    try:
        yield
    finally:
        _LAYOUT.reset(token)


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    layout, within = _LAYOUT.get()
    how = How(options.get("scaling"), options.get("sliding_window") or None, options.get("softcap") or None)
    out = layout.attend(getattr(module, "layer_idx", 0), query, key, value, how.narrowed(within))
    return out.transpose(1, 2), None


def register() -> str:
    """Make the implementation known to transformers; gives its name. No mask function: no mask is ever built."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attention)
    return NAME
