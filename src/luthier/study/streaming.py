"""The bench of a study of long text: one text, read by a model whole or within a window, and what that costs.

Losses are those of each token given what is seen of the text before it, in nats. They are kept as means of stretches of
STRETCH tokens: neighbours are alike, stretches hardly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from luthier.core.window import Window
from luthier.models.attention.packed import How, KeysValues, Packed, joined
from luthier.models.inference.beginnings import Beginning
from luthier.models.inference.slots import Slots
from luthier.models.inference.streaming import Stream
from luthier.models.kernels.fast import fast
from luthier.models.kernels.vocabulary_head import token_logprobs

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM

STRETCH, CHUNK = 64, 512  # tokens of a mean; of a pass
STEPS = 12  # tokens that are timed one by one
QUERIES, AFTER = 64, 128  # places at which attention is looked at, and the first of them


@dataclass(frozen=True)
class Cost:
    """Of one more token behind so many: milliseconds, and bytes of keys and values."""

    tokens: int
    ms: float
    size: int


@dataclass
class TextBench:
    """ids: of the text. lengths: behind which a token is timed. say: what is done, and the share of the run."""

    lm: CausalLM
    ids: Sequence[int]
    lengths: Sequence[int]
    say: Callable[[str, float], None] = field(default=lambda what, share: None)

    @torch.no_grad()
    def whole(self) -> tuple[list[float], list[Cost]]:
        """Losses and costs where every token sees all before it."""
        states: list[Tensor] = []
        costs: list[Cost] = []
        record: KeysValues = {}
        for at, part in self._parts():
            own: KeysValues = {}
            places = torch.arange(at, at + len(part), device=self.lm.device)
            with fast(self.lm.model):
                layout = Packed([len(part)], prefix=record or None, record=own)
                hidden = self.lm.forward(part[None], places[None], layout)[0]
            record = joined(record, own) if record else own
            states.append(self._losses(at, hidden))
            if at + len(part) in self.lengths:
                costs.append(self._cost_whole(record, at + len(part)))
        return _means(torch.cat(states)), costs

    def _cost_whole(self, record: KeysValues, count: int) -> Cost:
        slots = Slots()
        slots.add(record, [count], Beginning((), {}, 0))

        def step() -> None:
            slots.forward(self.lm, torch.tensor([self.ids[count]], device=self.lm.device))

        with fast(self.lm.model):
            return Cost(count, _timed(step), sum(t.numel() * t.element_size() for kv in record.values() for t in kv))

    @torch.no_grad()
    def within(self, window: Window) -> tuple[list[float], list[Cost]]:
        """Losses and costs in a stream that keeps a window."""
        stream = Stream(self.lm, window)
        states: list[Tensor] = []
        costs: list[Cost] = []
        for at, part in self._parts():
            ids = part.tolist()
            if at in self.lengths:  # the first ones of it one by one: they are timed
                hidden: list[Tensor] = []
                first = min(STEPS, len(ids))
                ms = _timed(lambda: hidden.append(stream.read([ids[len(hidden)]])), first)  # noqa: B023 - called at once
                costs.append(Cost(at, ms, stream.size))
                hidden += [stream.read(ids[first:])] if ids[first:] else []
                states.append(self._losses(at, torch.cat(hidden)))
            else:
                states.append(self._losses(at, stream.read(ids)))
        return _means(torch.cat(states)), costs

    @torch.no_grad()
    def recomputed(self, size: int) -> float:
        """Milliseconds of a token where a window of so many is read anew for each."""
        ids = torch.tensor(self.ids[:size], device=self.lm.device)
        places = torch.arange(size, device=self.lm.device)

        def step() -> None:
            self.lm.head.logits(self.lm.hidden(ids, places, [size])[-1:])

        with fast(self.lm.model):
            return _timed(step, 3)

    @torch.no_grad()
    def attention_on_first(self, firsts: Sequence[int], count: int) -> dict[int, list[float]]:
        """By layer the share of attention that goes to the first tokens, of heads and places of so many tokens."""
        ids = torch.tensor(self.ids[:count], device=self.lm.device)
        layout = _Looking([count], firsts=tuple(firsts))
        with fast(self.lm.model):
            self.lm.forward(ids[None], torch.arange(count, device=self.lm.device)[None], layout)
        return layout.found

    def _parts(self) -> Iterator[tuple[int, Tensor]]:
        """Places and tokens of passes, which end at the lengths, too."""
        cuts = sorted({*range(0, len(self.ids), CHUNK), *(n for n in self.lengths if n < len(self.ids)), len(self.ids)})
        for at, end in pairwise(cuts):
            self.say(f"{at} of {len(self.ids)} tokens", at / len(self.ids))
            yield at, torch.tensor(self.ids[at:end], device=self.lm.device)

    def _losses(self, at: int, hidden: Tensor) -> Tensor:
        """Nats of the tokens that follow states (n, d) of those from `at` on, on the CPU."""
        wanted = torch.tensor(self.ids[at + 1 : at + 1 + len(hidden)], device=self.lm.device)
        places = torch.arange(len(wanted), device=self.lm.device)
        return -token_logprobs(hidden, self.lm.head, places, wanted).float().cpu()


@dataclass
class _Looking(Packed):
    """Causal attention of one text that notes how much of it goes to the first tokens: `firsts` -> by layer."""

    firsts: tuple[int, ...] = ()
    found: dict[int, list[float]] = field(default_factory=dict)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, how: How) -> Tensor:
        n = q.shape[2]
        at = torch.linspace(min(AFTER, n - 1), n - 1, min(QUERIES, n), device=q.device).long()
        asked = q[0, :, at].reshape(k.shape[1], -1, q.shape[-1])  # (kv_heads, heads of a group · places, d)
        scores = (asked @ k[0].transpose(1, 2)) * (q.shape[-1] ** -0.5 if how.scale is None else how.scale)
        if how.softcap is not None:
            scores = torch.tanh(scores / how.softcap) * how.softcap
        away = at[:, None] - torch.arange(n, device=q.device)
        hidden = (away < 0) | (away >= (how.window or n))
        shares = scores.view(k.shape[1], -1, *hidden.shape).masked_fill(hidden, -torch.inf).float().softmax(-1)
        for first in self.firsts:
            self.found.setdefault(first, []).append(float(shares[..., :first].sum(-1).mean()))
        return super().attend(layer, q, k, v, how)


def _means(losses: Tensor) -> list[float]:
    """Of every whole stretch."""
    whole = losses[: len(losses) // STRETCH * STRETCH].view(-1, STRETCH).mean(1)
    return [round(value, 5) for value in whole.tolist()]


def _timed(step: Callable[[], None], steps: int = STEPS) -> float:
    """Milliseconds of a step: the middle one of several."""
    found = []
    for _ in range(steps):
        begun = time.perf_counter()
        step()
        found.append(1000 * (time.perf_counter() - begun))
    return round(median(found), 3)
