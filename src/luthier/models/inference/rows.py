"""Requests that are decoded side by side: a pass for the prompts that come, then a token a step for all."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from luthier.core.records import Sampling
from luthier.data.pack import grouped
from luthier.models.attention.packed import KeysValues, Packed
from luthier.models.ends import Ends
from luthier.models.inference.beginnings import Beginning, grow, most_shared
from luthier.models.inference.draw import draw
from luthier.models.inference.slots import Slots

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM

TOKENS = 1024  # tokens of prompts in one pass: as fast as more, and its activations need less memory
HORIZON = 256  # waiting requests that are looked at for a shared beginning


@dataclass(frozen=True)
class Token:
    """One token of an answer.

    logprob: under the model at temperature 1, in nats; None where the model's own decoding does not tell. end: what the
    answer ended by, on its last token: "stop" on an end token, or on the one that completed the text that ends an
    answer; "length" where there was no more room.
    """

    id: int
    logprob: float | None
    end: Literal["stop", "length"] | None = None


@dataclass(eq=False)
class Request:
    """A prompt, what is asked, and what came so far. room: tokens its answer may have. ready: not yet taken."""

    ids: list[int]
    sampling: Sampling
    ends: Ends
    adapter: str | None
    index: int
    room: int
    random: torch.Generator
    ready: deque[Token] = field(default_factory=deque)
    answer: list[int] = field(default_factory=list)
    done: bool = False
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self.stops = frozenset(self.ends.tokens)
        self.done = self.room < 1

    def give(self, token: int, logprob: float | None, tokenizer: object) -> None:
        """The next token; ends the answer where it is an end."""
        self.answer.append(token)
        end: Literal["stop", "length"] | None = None
        if self.done:  # not wanted any more
            return
        if token in self.stops or self.ends.reached(tokenizer, self.answer):
            end = "stop"
        elif len(self.answer) >= self.room:
            end = "length"
        self.ready.append(Token(token, logprob, end))
        self.done = end is not None

    def fail(self, error: BaseException) -> None:
        """No more tokens come."""
        self.error, self.done = error, True


@dataclass
class Read:
    """Prompts read behind one beginning, not yet among the rows. record: keys and values of their own part."""

    requests: list[Request]
    beginning: Beginning
    sizes: list[int]
    record: KeysValues
    hidden: Tensor  # last states (B, d)


class Rows:
    """The requests of one adapter that have a slot, and the beginnings that they share."""

    def __init__(self, lm: CausalLM) -> None:
        self.lm, self.slots = lm, Slots()
        self.requests: list[Request] = []  # by slot
        self.beginnings: list[Beginning] = []

    def read(self, new: Sequence[Request], waiting: Sequence[Request]) -> list[Read]:
        """Prompts made ready to take slots, those behind one beginning end to end; a failure leaves the rows alone.

        waiting: those that will come later, and may share a beginning.
        """
        beginnings = self._chosen(new, waiting)
        out = []
        for beginning in dict.fromkeys(beginnings):
            behind = [r for r, t in zip(new, beginnings, strict=True) if t is beginning]
            sizes = [len(r.ids) - len(beginning.ids) for r in behind]
            out += [self._pass([behind[i] for i in group], beginning) for group in grouped(sizes, sizes, TOKENS)]
        return out

    def step(self, come: Sequence[Read] = ()) -> None:
        """One more token for every request, those that come included."""
        self._leave()
        hidden = []
        if self.requests:
            said = torch.tensor([r.answer[-1] for r in self.requests], device=self.lm.device)
            hidden.append(self.slots.forward(self.lm, said))
        for read in come:
            self.slots.add(read.record, read.sizes, read.beginning)
            self.requests += read.requests
            hidden.append(read.hidden)
        if not hidden:
            return
        samplings, randoms = [r.sampling for r in self.requests], [r.random for r in self.requests]
        tokens, logprobs = draw(self.lm.head.logits(torch.cat(hidden)), samplings, randoms)
        for request, token, logprob in zip(self.requests, tokens.tolist(), logprobs.tolist(), strict=True):
            request.give(token, logprob, self.lm.tokenizer)
        self._leave()

    def _leave(self) -> None:
        """Those that are done give their slots back."""
        for row in reversed(range(len(self.requests))):
            if self.requests[row].done:
                self.slots.remove(row)
                self.requests[row] = self.requests[-1]
                del self.requests[-1]
        used = set(self.slots.beginnings)
        self.beginnings = [beginning for beginning in self.beginnings if beginning in used]

    def _chosen(self, new: Sequence[Request], waiting: Sequence[Request]) -> list[Beginning]:
        """The beginning of each new request; what new and waiting ones share most is computed first."""
        found: dict[Request, Beginning] = {}
        for request in new:
            fitting = [beginning for beginning in self.beginnings if beginning.ids and beginning.begins(request.ids)]
            if fitting:
                found[request] = max(fitting, key=lambda beginning: len(beginning.ids))
        open_ = [r for r in (*new, *waiting[:HORIZON]) if r not in found] if len(found) < len(new) else []
        while open_:
            length, members = most_shared([r.ids for r in open_])
            behind = [open_[i] for i in members] if length else open_  # without tokens: what was learned alone
            open_ = [r for r in open_ if r not in behind]
            if any(r in behind for r in new):
                beginning = grow(self.lm, behind[0].ids[:length])
                self.beginnings.append(beginning)
                found |= dict.fromkeys(behind, beginning)
        return [found[r] for r in new]

    def _pass(self, requests: list[Request], beginning: Beginning) -> Read:
        own = [r.ids[len(beginning.ids) :] for r in requests]
        record, hidden = prefilled(self.lm, own, beginning)
        return Read(requests, beginning, [len(ids) for ids in own], record, hidden)


def prefilled(lm: CausalLM, own: Sequence[Sequence[int]], beginning: Beginning) -> tuple[KeysValues, Tensor]:
    """Keys and values (1, kv_heads, T, head_dim) a layer of tokens end to end, each row behind it; last states

    (B, d).
    """
    sizes = [len(ids) for ids in own]
    record: KeysValues = {}
    ids = torch.tensor([[t for part in own for t in part]], device=lm.device)
    places = torch.tensor([[len(beginning.ids) + i for n in sizes for i in range(n)]], device=lm.device)
    hidden = lm.forward(ids, places, Packed(sizes, prefix=beginning.states or None, record=record))[0]
    return record, hidden[torch.tensor(sizes, device=lm.device).cumsum(0) - 1]
