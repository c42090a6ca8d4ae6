"""Keys and values of rows that are decoded side by side, and the attention of one new token of each over them.

Every row has a slot: buffers (slots, kv_heads, capacity, head_dim) a layer, filled from the left. The slots in use are
the first ones; a row that leaves gives its slot to the last. What a row's prompt shares with others is not in the slot:
attention goes over the shared part, the beginning, by itself, all its rows at once, and the two parts are merged by the
sums of their exponentials.

A copy of the beginning before every row's own keys is slower on a CPU. Milliseconds of attention a step, SmolLM2-135M's
sizes, own parts up to 230 keys, AMD EPYC 7003, one thread (CPU time), a beginning apart / a copy in each row:
16 rows: beginning of 80 keys 31 / 35, of 300 41 / 84; 64 rows: 139 / 160, 157 / 318.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from luthier.models.attention.packed import How, KeysValues
from luthier.models.inference.beginnings import Beginning

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM

CHUNK, SPARE = 64, 8  # places and slots by which buffers grow
FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


@dataclass
class Slots:
    """Buffers of a layer's keys and values; lengths: filled places of each slot in use."""

    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)
    beginnings: list[Beginning] = field(default_factory=list)  # of each slot in use

    def add(self, record: KeysValues, sizes: Sequence[int], beginning: Beginning) -> None:
        """Rows behind one beginning, from keys and values (1, kv_heads, T, d) of their tokens end to end."""
        first, used = len(self.lengths), max(self.lengths, default=0)
        capacity = -(-max(used, max(sizes) + 1) // CHUNK) * CHUNK
        for layer, pair in record.items():
            for held, new in zip((self.keys, self.values), pair, strict=True):
                buffer = _room(held.get(layer), new, first + len(sizes), capacity)
                held[layer] = buffer
                for row, part in enumerate(new[0].split(list(sizes), 1), first):
                    buffer[row, :, : part.shape[1]] = part
        self.lengths += sizes
        self.beginnings += [beginning] * len(sizes)

    def remove(self, row: int) -> None:
        """Row leaves; the last one takes its slot."""
        last = len(self.lengths) - 1
        if row != last:
            n = self.lengths[last]
            for held in (self.keys, self.values):
                for buffer in held.values():
                    buffer[row, :, :n] = buffer[last, :, :n]
            self.lengths[row], self.beginnings[row] = self.lengths[last], self.beginnings[last]
        del self.lengths[last], self.beginnings[last]

    def forward(self, lm: CausalLM, tokens: Tensor) -> Tensor:
        """The last states (B, d) after one more token (B,) of every row."""
        used = max(self.lengths) + 1
        for held in (self.keys, self.values):
            for layer, buffer in held.items():
                if buffer.shape[2] < used:
                    held[layer] = _room(buffer, buffer, len(buffer), buffer.shape[2] + CHUNK)
        places = [[len(beginning.ids) + n] for beginning, n in zip(self.beginnings, self.lengths, strict=True)]
        step = Step(self, tokens.device)
        hidden = lm.forward(tokens[:, None], torch.tensor(places, device=tokens.device), step)[:, 0]
        self.lengths = [n + 1 for n in self.lengths]
        return hidden


def _room(buffer: Tensor | None, like: Tensor, slots: int, capacity: int) -> Tensor:
    """A buffer with at least so many slots and places, what it held included."""
    if buffer is not None:
        if len(buffer) >= slots and buffer.shape[2] >= capacity:
            return buffer
        slots, capacity = max(slots, len(buffer)), max(capacity, buffer.shape[2])
    slots = -(-slots // SPARE) * SPARE
    # zeros: what is hidden counts nothing times its value, which must be a number
    out = like.new_zeros(slots, like.shape[1], capacity, like.shape[3])
    if buffer is not None:
        out[: len(buffer), :, : buffer.shape[2]] = buffer
    return out


class Step:
    """One new token for each row in use. A window counts the beginning, too."""

    def __init__(self, slots: Slots, device: torch.device) -> None:
        self.slots, self.device = slots, device
        n = len(slots.lengths)
        self.lengths = torch.tensor(slots.lengths, device=device)
        self.ahead = torch.tensor([beginning.places for beginning in slots.beginnings], device=device)
        self.used = max(slots.lengths) + 1
        self.masks: dict[tuple[int, How], Tensor | None] = {}  # the same for every layer
        self.places: dict[tuple[int, int], Tensor] = {}
        behind: dict[int, list[int]] = {}
        for row, beginning in enumerate(slots.beginnings):
            if beginning.places:
                behind.setdefault(id(beginning), []).append(row)
        self.parts = [
            (slots.beginnings[rows[0]], None if len(rows) == n else torch.tensor(rows, device=device))
            for rows in behind.values()
        ]

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, how: How) -> Tensor:
        n, kv_heads = len(q), k.shape[1]
        keys, values = self.slots.keys[layer], self.slots.values[layer]
        for buffer, new in ((keys, k), (values, v)):
            buffer.view(-1, buffer.shape[3]).index_copy_(0, self._places(buffer), new.reshape(-1, new.shape[3]))
        queries = q.view(n, kv_heads, -1, q.shape[-1])  # a key-value head's queries stand as one short sequence
        own = keys[:n, :, : self.used], values[:n, :, : self.used]
        out, size = attended(queries, *own, self._own_mask(how, q.dtype), how)
        for part, (_, rows) in enumerate(self.parts):
            asked, before, sum_ = (queries, out, size) if rows is None else (queries[rows], out[rows], size[rows])
            found, weight = self._behind(part, layer, asked, sum_, how)
            merged = torch.lerp(before, found, weight)
            out = merged if rows is None else out.index_copy(0, rows, merged)
        return out.reshape(*q.shape[:-1], v.shape[-1])

    def _behind(self, part: int, layer: int, queries: Tensor, size: Tensor, how: How) -> tuple[Tensor, Tensor]:
        """What rows (B, kv_heads, share, d) get of their beginning, all of them at once, and how much it weighs."""
        keys, values = self.parts[part][0].states[layer]
        rows, kv_heads, share, _ = queries.shape
        asked = queries.transpose(0, 1).reshape(1, kv_heads, rows * share, -1)
        mask = self._trunk_mask(part, share, how, queries.dtype)
        found, sizes = attended(asked, keys, values, mask, how)
        back = found.view(kv_heads, rows, share, -1).transpose(0, 1), sizes.view(kv_heads, rows, share).transpose(0, 1)
        return back[0], torch.sigmoid(back[1] - size)[..., None].to(back[0].dtype)

    def _places(self, buffer: Tensor) -> Tensor:
        """Where in a buffer's rows of numbers the new token's go, (B · kv_heads,)."""
        _, kv_heads, capacity, _ = buffer.shape
        if (kv_heads, capacity) not in self.places:
            first = torch.arange(len(self.lengths) * kv_heads, device=self.device).view(-1, kv_heads) * capacity
            self.places[kv_heads, capacity] = (first + self.lengths[:, None]).flatten()
        return self.places[kv_heads, capacity]

    def _own_mask(self, how: How, dtype: torch.dtype) -> Tensor | None:
        """(B, 1, 1, used) to be added to scores."""
        key = (-1, how)
        if key not in self.masks:
            at = torch.arange(self.used, device=self.device)[None]
            seen = at <= self.lengths[:, None]
            if how.window is not None:
                seen &= (at > self.lengths[:, None] - how.window) | (at < how.sinks - self.ahead[:, None])
            self.masks[key] = None if bool(seen.all()) else _added(seen, dtype)[:, None, None]
        return self.masks[key]

    def _trunk_mask(self, part: int, share: int, how: How, dtype: torch.dtype) -> Tensor | None:
        """(1, 1, B · share, places) to be added to scores; None where the whole beginning is seen."""
        key = (part, how)
        if how.window is None:
            return None
        if key not in self.masks:
            beginning, rows = self.parts[part]
            place = (self.lengths if rows is None else self.lengths[rows]) + beginning.places
            at = torch.arange(beginning.places, device=self.device)[None]
            seen = (at > place[:, None] - how.window) | (at < how.sinks)
            mask = None if bool(seen.all()) else _added(seen, dtype).repeat_interleave(share, 0)[None, None]
            self.masks[key] = mask
        return self.masks[key]


def _added(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where a key is seen; elsewhere a number so small that it weighs nothing, and yet a number where none is."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min / 2)


def attended(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, how: How) -> tuple[Tensor, Tensor]:
    """q (B, heads, n, d), k (B, heads, m, d), v (B, heads, m, e) -> (B, heads, n, e) and the log of the sum of

    exponentials of the scores, (B, heads, n) in float32.
    """
    if q.device.type == "cpu" and how.softcap is None and q.shape[-1] == v.shape[-1]:
        out, size = FLASH(q, k, v, attn_mask=mask, scale=how.scale)
        return out, size
    scores = (q @ k.transpose(2, 3)) * (q.shape[-1] ** -0.5 if how.scale is None else how.scale)
    if how.softcap is not None:
        scores = torch.tanh(scores / how.softcap) * how.softcap
    if mask is not None:
        scores = scores + mask
    scores = scores.float()
    size = scores.logsumexp(-1)
    return (scores - size[..., None]).exp().to(v.dtype) @ v, size
