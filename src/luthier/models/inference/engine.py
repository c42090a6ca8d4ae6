"""Text generation: an engine that yields tokens, whoever asks, with all that is asked at one time side by side.

Requests join one queue. At most ROWS of them have a slot; a slot that becomes free goes to the next one at once, and
its prompt is read together with others that come. Nobody is in charge: whoever waits for a token moves the engine one
step, for all; who comes meanwhile from another thread waits for the end of that step. What a request gets depends
neither on its neighbours nor on who moves it.

Several adapters of one base are served by one engine. `adapters` gives, by name, what makes a context manager that
switches the model to the adapter and back:

    Engine(lm, {"support": lambda: switched(lm.model, "runs/support"), "legal": …}).submit(ids, sampling, "support")

Each step makes one pass for every adapter that has requests, inside its context manager; requests of different ones are
never mixed in a pass. What is named None is the model as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeGuard, Union
from weakref import WeakValueDictionary

import torch

from luthier.core.errors import LuthierError
from luthier.core.records import Sampling
from luthier.data.pack import shortened
from luthier.models.ends import Ends
from luthier.models.inference.draw import own_random
from luthier.models.inference.rows import HORIZON, Request, Rows
from luthier.models.inference.rows import Token as Token
from luthier.models.inference.whole import Whole
from luthier.models.kernels.fast import fast

if TYPE_CHECKING:
    from luthier.models.base import Progress
    from luthier.models.causal import CausalLM
    from luthier.models.encoder_decoder import Seq2SeqLM

ROWS = 64  # rows decoded at once
Writer = Union["CausalLM", "Seq2SeqLM"]
Adapters = Mapping[str, Callable[[], AbstractContextManager[Any]]]


class Answer(Iterator[Token]):
    """The tokens of one answer as they come. Taking one moves the engine if need be; `close` gives the slot back."""

    def __init__(self, engine: Engine, request: Request) -> None:
        self._engine, self._request = engine, request

    def __next__(self) -> Token:
        request = self._request
        self._engine.move(lambda: bool(request.ready) or request.done)
        if request.ready:
            return request.ready.popleft()
        if request.error is not None:
            raise request.error
        raise StopIteration

    def close(self) -> None:
        """The rest is not wanted."""
        self._request.done = True

    __del__ = close


class Engine:
    """One model's answers, token by token. rows: how many are decoded at once."""

    def __init__(self, lm: Writer, adapters: Adapters | None = None, rows: int | None = None) -> None:
        self.lm, self.adapters, self.rows = lm, dict(adapters or {}), ROWS if rows is None else rows
        self._turn = threading.Condition()  # guards the queue, and whose turn it is to move
        self._moving = False
        self._queue: list[Request] = []
        self._batches: dict[str | None, Rows | Whole] = {}

    def submit(
        self, prompt_ids: Sequence[int], sampling: Sampling, adapter: str | None = None, *,
        index: int = 0, ends: Ends | None = None,
    ) -> Answer:  # fmt: skip
        """The tokens of an answer, the one that ends it included. The request is in the queue from now on.

        index: which of several requests of one seed it is: each has random numbers of its own. ends: the model's own
        unless given. A prompt that leaves no room in the context loses its middle.
        """
        request = self._request(prompt_ids, sampling, adapter, index, ends)
        self._enter([request])
        return Answer(self, request)

    def generate(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, adapter: str | None = None, *,
        ends: Ends | None = None, progress: Progress | None = None,
    ) -> list[list[Token]]:  # fmt: skip
        """All answers, in the order of the prompts; progress is told how many are done, of how many."""
        requests = [self._request(p, sampling, adapter, i, ends) for i, p in enumerate(prompts)]
        left = [r for r in requests if not r.done]
        self._enter(sorted(left, key=lambda r: len(r.ids)))  # rows of like length stand side by side
        try:
            while left:
                self.move(lambda: any(r.done for r in left))  # noqa: B023 - called before `left` changes
                failed = next((r.error for r in left if r.error is not None), None)
                if failed is not None:
                    raise failed
                left = [r for r in left if not r.done]
                if progress:
                    progress(len(requests) - len(left), len(requests))
        finally:
            for request in left:
                request.done = True
        return [list(r.ready) for r in requests]

    def move(self, until: Callable[[], bool]) -> None:
        """Step by step until something is so, by this thread or by another that is at it."""
        moving = False
        while True:
            try:
                with self._turn:
                    while not until() and self._moving:
                        self._turn.wait()
                    if until():
                        return
                    self._moving = moving = True
                self._step()
            finally:
                if moving:
                    with self._turn:
                        self._moving = moving = False
                        self._turn.notify_all()

    def _request(
        self, prompt_ids: Sequence[int], sampling: Sampling, adapter: str | None, index: int, ends: Ends | None
    ) -> Request:
        if adapter is not None and adapter not in self.adapters:
            known = ", ".join(self.adapters) or "none"
            raise LuthierError(f"{self.lm.name}: no adapter is called {adapter} here; those there are: {known}")
        ids, room = list(prompt_ids), sampling.max_new_tokens
        if self.lm.peft_task == "CAUSAL_LM":  # others write into a context of its own
            ids = shortened(ids, self.lm.context - 1, len(self.lm.virtual))  # room for one more token
            room = min(room, self.lm.context - len(ids))
        random = own_random(sampling.seed, index)
        return Request(ids, sampling, self.lm.ends if ends is None else ends, adapter, index, room, random)

    def _enter(self, requests: Sequence[Request]) -> None:
        with self._turn:
            self._queue += requests

    @torch.no_grad()
    def _step(self) -> None:
        """One pass for every adapter that has requests; free slots go to those that wait longest."""
        with self._turn:
            self._queue = [r for r in self._queue if not r.done]
            free = max(self.rows - sum(len(batch.requests) for batch in self._batches.values()), 0)
            new, self._queue = self._queue[:free], self._queue[free:]
            waiting = self._queue[:HORIZON]
        try:
            for adapter in dict.fromkeys([*self._batches, *(r.adapter for r in new)]):
                mine, later = ([r for r in some if r.adapter == adapter] for some in (new, waiting))
                self._pass(adapter, mine, later)
        except BaseException:  # broken off by who moves: the others are told, too
            broken = LuthierError(f"{self.lm.name}: writing was broken off")
            _fail([*new, *(r for batch in self._batches.values() for r in batch.requests)], broken)
            self._batches.clear()
            raise

    def _pass(self, adapter: str | None, new: Sequence[Request], waiting: Sequence[Request]) -> None:
        batch = self._batches.get(adapter) or (Rows(self.lm) if _packed(self.lm) else Whole(self.lm))
        self._batches[adapter] = batch
        switched = nullcontext() if adapter is None else self.adapters[adapter]()
        try:
            with switched, fast(self.lm.model):
                batch.step(_read(batch, new, waiting))
        except Exception as error:  # whoever moves here need not be whose request it is
            _fail([*new, *batch.requests], error)
            batch.requests.clear()
        if not batch.requests:
            del self._batches[adapter]  # and its buffers with it


def _read(batch: Rows | Whole, new: Sequence[Request], waiting: Sequence[Request]) -> list[Any]:
    """Prompts made ready; one that cannot be read fails by itself."""
    try:
        return list(batch.read(new, waiting))
    except Exception as error:
        if len(new) == 1:
            new[0].fail(error)
            return []
    return [read for request in new for read in _read(batch, [request], ())]


def _fail(requests: Sequence[Request], error: BaseException) -> None:
    for request in requests:
        if not request.done:
            request.fail(error)


def _packed(lm: Writer) -> TypeGuard[CausalLM]:
    """Whether rows of it can be decoded here side by side; others are written by their own decoding."""
    return getattr(getattr(lm, "runner", None), "way", "") == "packed"


_ENGINES: WeakValueDictionary[int, Engine] = WeakValueDictionary()  # by model; each as long as somebody uses it
_FINDING = threading.Lock()


def engine_of(lm: CausalLM) -> Engine:
    """The engine that this model's callers share, whatever their wording is; there is none while nobody uses it."""
    with _FINDING:
        found = _ENGINES.get(id(lm.model))
        if found is None or _way(found.lm) != _way(lm):
            found = _ENGINES[id(lm.model)] = Engine(lm)
        return found


def _way(lm: Any) -> tuple[Any, ...]:
    return lm.runner, lm.head_scale, lm.softcap, lm.virtual, lm.window
