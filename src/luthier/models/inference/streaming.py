"""Text without end in memory that does not grow: the keys of the first tokens and of the last ones, and no others.

    stream = Stream(lm, Window(4, 1020))
    stream.read(ids)                        # any number of tokens
    for token in stream.write(sampling, ends): …

Keys are kept as they were before their positions turned them, and turned by the places that they have among those that
are kept: what is read after a million tokens stands where the model was trained. What a query finds hangs on
differences of places alone, so that keys need not be turned anew for each token: they stand turned by places that count
from a token not far back, which is chosen anew after every window, and a query is turned twice, for the window and for
the first tokens. Source: Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from luthier.core.errors import LuthierError, Refused
from luthier.core.phrases import say
from luthier.core.records import Sampling
from luthier.core.window import Window
from luthier.models.attention.packed import How, KeysValues
from luthier.models.attention.rotary import Rotation, rotations
from luthier.models.attention.windowed import seen
from luthier.models.ends import Ends
from luthier.models.inference.draw import draw, own_random
from luthier.models.inference.rows import Token
from luthier.models.kernels.fast import fast

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM

CHUNK = 256  # tokens that are read in one pass


class Stream:
    """One text as it goes on. What was learned to stand in front (a prefix, virtual tokens) is kept beside the sinks.

    Tokens have numbers from 0 on. The first ones keep the first slots, the others take the rest in a ring.
    Raises Refused where a model's keys are not turned by rotary positions, LuthierError where the window is longer than
    the model's context.
    """

    def __init__(self, lm: CausalLM, window: Window) -> None:
        if not lm.separable:
            kind = type(lm.model).__name__
            raise Refused(say("said_refused_window_own", kind=kind, way=lm.runner.way, window=str(window)))
        if window.reach > lm.context:
            raise LuthierError(f"{window}: {window.reach} tokens, and the context of {lm.name} has {lm.context}")
        self.lm = replace(lm, window=None)
        self.window = cast(Window, replace(lm, window=window).sight)
        self.rotations = rotations(self.lm)
        self.kept: dict[int, tuple[Tensor, Tensor, Tensor]] = {}  # keys, the same turned, values
        self.count = 0  # tokens read, learned ones among them
        self.anchor = 0  # the token from which places count behind the sinks
        self.unread: list[int] = []  # written, and not yet read
        if lm.learned_prefix is not None:
            self._begin(lm.learned_prefix())

    @property
    def size(self) -> int:
        """Bytes of the keys and values that are kept."""
        return sum(t.numel() * t.element_size() for pair in self.kept.values() for t in pair)

    @torch.no_grad()
    def _begin(self, learned: KeysValues) -> None:
        """Keys that were learned turned already are turned back."""
        numbers = torch.arange(self.lm.ahead, device=self.lm.device)
        for layer, (keys, values) in learned.items():
            rotation = self.rotations[layer]
            self.keep(layer, (rotation.turned(keys, rotation.angles(-numbers)), keys, values), numbers)
        self.count = len(numbers)

    @torch.no_grad()
    def read(self, ids: Sequence[int]) -> Tensor:
        """Last hidden states (n, d) of more tokens; what was written and not yet read goes before them."""
        ids, self.unread = [*self.unread, *ids], []
        states = []
        with fast(self.lm.model):
            for at in range(0, len(ids), CHUNK):
                if self.count - self.anchor > 2 * self.window.reach:
                    self._count_anew()
                part = torch.tensor([ids[at : at + CHUNK]], device=self.lm.device)
                # positions of zero turn nothing: keys and queries come as they are kept
                turnless = torch.full_like(part, -self.lm.ahead)
                states.append(self.lm.forward(part, turnless, _Pass(self, part.shape[1]))[0])
                self.count += part.shape[1]
        return torch.cat(states)

    def write(self, ids: Sequence[int], sampling: Sampling, ends: Ends) -> Iterator[Token]:
        """Tokens of an answer behind more tokens, the one that ends it included, one by one."""
        random, tail = own_random(sampling.seed, 0), list[int]()
        for left in range(sampling.max_new_tokens - 1, -1, -1):
            tokens, logprobs = draw(self.lm.head.logits(self.read(ids)[-1:]), [sampling], [random])
            token, ids = int(tokens), ()
            self.unread = [token]
            tail = [*tail, token][-len(ends.text.encode()) - 4 :]
            stopped = token in ends.tokens or ends.reached(self.lm.tokenizer, tail)
            yield Token(token, float(logprobs), "stop" if stopped else None if left else "length")
            if stopped:
                return

    def numbers(self, count: int) -> Tensor:
        """Of the tokens that are kept of so many, slot by slot."""
        slots = torch.arange(min(count, self.window.reach), device=self.lm.device)
        return torch.where(slots < self.window.sinks, slots, count - 1 - (count - 1 - slots) % self.window.size)

    def places(self, numbers: Tensor) -> Tensor:
        """Where tokens stand by which their keys are turned."""
        return torch.where(numbers < self.window.sinks, numbers, numbers - self.anchor)

    def _count_anew(self) -> None:
        numbers = self.numbers(self.count)
        self.anchor = self.count - self.window.reach
        angles = {one: one.angles(self.places(numbers)) for one in set(self.rotations.values())}
        for layer, (keys, turned, _) in self.kept.items():
            turned.copy_(self.rotations[layer].turned(keys, angles[self.rotations[layer]]))

    def keep(self, layer: int, new: tuple[Tensor, Tensor, Tensor], numbers: Tensor) -> None:
        """Keys, the same turned, and values (1, kv_heads, n, d) of the newest tokens; the oldest but the first give
        way."""
        sinks, size = self.window.sinks, self.window.size
        if layer not in self.kept:
            keys, turned, values = (t.new_zeros(*t.shape[:2], self.window.reach, t.shape[3]) for t in new)
            self.kept[layer] = keys, turned, values
        stays = (numbers < sinks) | (numbers > numbers[-1] - size)
        slots = torch.where(numbers < sinks, numbers, sinks + (numbers - sinks) % size)[stays]
        for held, one in zip(self.kept[layer], new, strict=True):
            held.index_copy_(2, slots, one[:, :, stays])


class _Pass:
    """One pass of n more tokens, each of which sees what is kept when it comes, itself included."""

    def __init__(self, stream: Stream, n: int) -> None:
        self.stream, window, count = stream, stream.window, stream.count
        self.asked = torch.arange(count, count + n, device=stream.lm.device)
        # a token alone takes its slot before it looks: then the oldest one has given way
        self.numbers = stream.numbers(count + 1) if n == 1 else torch.cat([stream.numbers(count), self.asked])
        self.sinks = min(window.sinks, len(self.numbers))
        self.at = stream.places(self.asked)
        self.behind_sinks = self.asked.clamp(max=window.reach - 1)
        self._angles: dict[Rotation, list[tuple[Tensor, Tensor]]] = {}
        self._masks: dict[int | None, Tensor | None] = {}

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, how: How) -> Tensor:
        n, kv_heads, rotation = q.shape[2], k.shape[1], self.stream.rotations[layer]
        if rotation not in self._angles:  # the same for most layers
            self._angles[rotation] = [rotation.angles(places) for places in (self.at, self.behind_sinks)]
        near, far = self._angles[rotation]
        keys, values = self._seen(layer, (k, rotation.turned(k, near), v))
        keys = keys[0].transpose(1, 2)  # (kv_heads, d, m)
        scores = _grouped(rotation.turned(q, near), kv_heads) @ keys
        if self.sinks:
            scores[..., : self.sinks] = _grouped(rotation.turned(q, far), kv_heads) @ keys[..., : self.sinks]
        scores = scores * (q.shape[-1] ** -0.5 if how.scale is None else how.scale)
        if how.softcap is not None:
            scores = torch.tanh(scores / how.softcap) * how.softcap
        if (mask := self._mask(how.window)) is not None:
            scores.view(kv_heads, -1, *mask.shape).masked_fill_(~mask, -torch.inf)
        out = scores.softmax(-1, dtype=torch.float32).to(v.dtype) @ values[0]
        return out.view(1, q.shape[1], n, v.shape[-1])

    def _seen(self, layer: int, new: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Turned keys and values of `numbers`."""
        stream, used = self.stream, len(self.numbers)
        if len(self.asked) == 1:
            stream.keep(layer, new, self.asked)
            _, turned, values = stream.kept[layer]
            return turned[:, :, :used], values[:, :, :used]
        used -= len(self.asked)
        _, turned, values = stream.kept.get(layer, new)
        whole = torch.cat([turned[:, :, :used], new[1]], 2), torch.cat([values[:, :, :used], new[2]], 2)
        stream.keep(layer, new, self.asked)
        return whole

    def _mask(self, own: int | None) -> Tensor | None:
        """(n, keys) bool, True where a key is seen; None where all are. own: a layer's own window."""
        if own not in self._masks:
            window = self.stream.window
            mask = seen(self.asked[:, None], self.numbers, window.size, window.sinks)
            if own is not None:
                at = torch.where(self.numbers < window.sinks, self.behind_sinks[:, None], self.at[:, None])
                mask = mask & (at - self.stream.places(self.numbers) < own)
            self._masks[own] = None if bool(mask.all()) else mask
        return self._masks[own]


def _grouped(q: Tensor, kv_heads: int) -> Tensor:
    """(1, heads, n, d) -> (kv_heads, heads of a group · n, d)."""
    return q.reshape(kv_heads, -1, q.shape[-1])
