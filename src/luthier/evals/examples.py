"""Worked examples: drawn for all prompts alike, or the nearest for each; in which order; as many as fit the context.

Sources: Brown et al. 2020 (examples in the prompt); Liu et al. 2022, "What Makes Good In-Context Examples for GPT-3?"
(nearest neighbours); Lu et al. 2022, "Fantastically Ordered Prompts" (the order matters).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from luthier.core.records import Prompt, Record
from luthier.core.split import Split
from luthier.data.prompts import answer_of, prompt_of, question_and_answer
from luthier.data.shorten import known_as
from luthier.data.split import normal
from luthier.models.reading import ROOM

if TYPE_CHECKING:
    from luthier.core.lm import WordedLM
    from luthier.data.prompts import Template
    from luthier.models.embedding import Embedder


def drawn(data: Split, k: int, seed: int, balanced: bool) -> list[Record]:
    """k training rows in random order; balanced: labels in turn, at least one of each (so more than k of many)."""
    rng = np.random.default_rng([seed, 7])
    order = [data.train[int(i)] for i in rng.permutation(len(data.train))]
    if not (balanced and data.labels):
        return order[:k]
    by_label = {label: [r for r in order if answer_of(r) == label] for label in data.labels}
    rounds = [rows[i] for i in range(len(order)) for rows in by_label.values() if i < len(rows)]
    chosen = rounds[: max(k, len(data.labels))]
    return [chosen[int(i)] for i in rng.permutation(len(chosen))]


def reordered(shots: Sequence[Record], order: int, seed: int) -> list[Record]:
    """The same examples in another order; order 0 is the one they are in."""
    if not order:
        return list(shots)
    return [shots[int(i)] for i in np.random.default_rng([seed, 17, order]).permutation(len(shots))]


def fitting(lm: WordedLM, shots: Sequence[Record], prompt: Prompt) -> tuple[Record, ...]:
    """As many of the examples as the context holds with this prompt and its answer; those in front are left out first.

    lm: worded; its own examples do not count.
    """
    assert lm.template is not None
    left = tuple(shots)
    while left and lm.worded(lm.template, lm.labels, left).length(prompt, lm.labels) > prompt_room(lm):
        left = left[1:]
    return left


def within(lm: Any) -> int:
    """Tokens of a prompt with its answer at most: of a model behind an address its context."""
    return int(getattr(lm, "limit", lm.context))


def prompt_room(lm: Any) -> int:
    """Tokens of a prompt with its examples: room is left for an answer, half of a limit that the user gave at most."""
    limit, given = within(lm), getattr(lm, "longest", None) is not None
    return limit - (min(ROOM, limit // 2) if given else ROOM)


def longest(data: Split) -> Prompt:
    """The longest known question, which fixed examples must fit with."""
    return max(map(prompt_of, data.validation or data.train), key=lambda asked: len(str(asked)))


def question(prompt: Prompt) -> str:
    """What is the same in two prompts that ask the same: see `data.split.same`. Of a conversation the last question."""
    return normal(text_of(prompt))


class ExampleSelector:
    """Gives the worked examples of each prompt, never one that asks the same. lm: worded; counts what is cut."""

    def __init__(self, lm: WordedLM, shots: Sequence[Record]) -> None:
        self.lm, self.questions = lm, [normal(question_and_answer(s)[0]) for s in shots]

    def fitted(self, shots: Sequence[Record], prompt: Prompt) -> tuple[Record, ...]:
        """`fitting`, counted."""
        left = fitting(self.lm, shots, prompt)
        if len(left) < len(shots):
            self.lm.counted.fewer.add(known_as(prompt))
        return left


class Fixed(ExampleSelector):
    """The same examples for every prompt, as many as fit with it."""

    def __init__(self, lm: WordedLM, shots: Sequence[Record]) -> None:
        super().__init__(lm, shots)
        assert lm.template is not None
        self.shots = tuple(shots)
        # a token is a byte or more, so that most questions are known to fit without being counted
        self.room = prompt_room(lm) - lm.worded(lm.template, lm.labels, self.shots).length("", lm.labels)

    def __call__(self, prompt: Prompt) -> tuple[Record, ...]:
        """The examples that stand before a prompt."""
        self.lm.counted.asked.add(known_as(prompt))
        asked = question(prompt)
        others = tuple(s for s, known in zip(self.shots, self.questions, strict=True) if known != asked)
        if len(str(prompt).encode("utf-8", "replace")) > self.room:
            return self.fitted(others, prompt)
        return others


def fixed(lm: WordedLM) -> WordedLM:
    """A worded model whose own examples give way, from the front, where a prompt is too long to stand beside them."""
    return lm.asked(chooser=Fixed(lm, lm.shots)) if lm.shots else lm


def again(lm: Any, template: Template, labels: Sequence[str]) -> Any:
    """A worded model with its examples behind another wording, where they give way as they did."""
    worded = lm.worded(template, labels, lm.shots)
    return fixed(worded) if worded.shots and not worded.chooser else worded


class Nearest(ExampleSelector):
    """Chooses for each prompt the k rows of a pool whose questions are nearest by embedding, the nearest last.

    first: the nearest first.
    """

    def __init__(self, lm: WordedLM, pool: Sequence[Record], k: int, embedder: Embedder, first: bool = False) -> None:
        super().__init__(lm, pool)
        self.pool, self.k, self.embedder, self.first = tuple(pool), k, embedder, first
        self.vectors = embedder.passages([text_of(prompt_of(r)) for r in self.pool])
        self._known: dict[str, Any] = {}

    def prepare(self, prompts: Sequence[Prompt]) -> None:
        """Embed these prompts together."""
        texts = [t for t in dict.fromkeys(map(text_of, prompts)) if t not in self._known]
        if texts:
            self._known |= zip(texts, self.embedder.queries(texts), strict=True)

    def neighbours(self, prompt: Prompt) -> list[int]:
        """Places in the pool of the k nearest that ask something else, the nearest first; the first of equals."""
        self.prepare([prompt])
        # rounded, so that which texts were embedded together does not decide which row is the nearest
        near = np.round(self.vectors @ self._known[text_of(prompt)], 5)
        asked = question(prompt)
        others = (int(i) for i in np.argsort(-near, kind="stable") if self.questions[int(i)] != asked)
        return list(islice(others, self.k))

    def __call__(self, prompt: Prompt) -> tuple[Record, ...]:
        """The worked examples of a prompt. What does not fit is what is farthest."""
        self.lm.counted.asked.add(known_as(prompt))
        chosen = [self.pool[i] for i in reversed(self.neighbours(prompt))]
        left = self.fitted(chosen, prompt)
        return left[::-1] if self.first else left


def text_of(prompt: Prompt) -> str:
    """What is embedded of a prompt: the text, or the user's last turn."""
    if isinstance(prompt, str):
        return prompt
    return next((m.content for m in reversed(prompt) if m.role == "user"), "")
