"""How a model's prompts become token ids, none longer than it was trained for.

Training, likelihoods, generation, label heads and features all come through here, so that a prompt that is too long is
shortened alike (`luthier.data.shorten`) whoever asks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from luthier.core.errors import LuthierError
from luthier.core.example import Example
from luthier.core.records import Message, Prompt, Record
from luthier.data.pack import shortened
from luthier.data.prompts import CLASSIFY, GENERATE, Template
from luthier.data.shorten import Counted, Fitted, fitted, known_as
from luthier.models.asking import Worded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROOM = 256  # tokens left for an answer of unknown length, at most
Row = tuple[list[int], list[list[int]]]  # a prompt's tokens and the tokens of each of its answers


class Reading(Worded, ABC):
    """The part of a base model that reads prompts; its attributes are fields of `base.TrainableLM`."""

    tokenizer: PreTrainedTokenizerBase
    name: str
    virtual: tuple[int, ...]
    longest: int | None
    room: int
    counted: Counted
    cannot: str

    @property
    @abstractmethod
    def context(self) -> int:
        """The longest sequence, in tokens."""

    @property
    def limit(self) -> int:
        """The longest prompt with its answer, in tokens: as in training, where the model was trained."""
        return self.context if self.longest is None else min(self.longest, self.context)

    def wording(self, labels: Sequence[str]) -> Template:
        """The model's wording, or the first of its task."""
        return self.template or (CLASSIFY if labels else GENERATE)[0]

    @abstractmethod
    def encode_whole(self, prompt: Prompt, labels: Sequence[str], shots: Sequence[Record]) -> list[int]:
        """Token ids of the worded prompt behind its worked examples, whatever its length; without virtual tokens."""

    def read_prompt(self, prompt: Prompt, labels: Sequence[str] = (), answer: int = 0) -> Fitted:
        """The prompt with room for an answer of so many tokens; `ids` begin with the virtual ones."""
        encode = partial(self.encode_whole, labels=labels, shots=self.shots_for(prompt))
        found = fitted(prompt, max(self.prompt_limit(answer) - len(self.virtual), 1), encode, self.tokenizer)
        if found.cut:
            self.counted.shortened[known_as(prompt)] = self.limit
        return found._replace(ids=[*self.virtual, *found.ids])

    def encode_prompt(self, prompt: Prompt, labels: Sequence[str] = (), answer: int = 0) -> list[int]:
        """Token ids of `read_prompt`."""
        return self.read_prompt(prompt, labels, answer).ids

    def length(self, prompt: Prompt, labels: Sequence[str] = ()) -> int:
        """Tokens of the worded prompt, whatever its length, virtual ones included."""
        return len(self.virtual) + len(self.encode_whole(prompt, labels, self.shots_for(prompt)))

    # -- room for answers ----------------------------------------------------------------------------------------

    def answer_limit(self, answer: int) -> int:
        """How many tokens of an answer are read: all of them, or half the limit where it is too long by itself."""
        return answer if answer + len(self.virtual) < self.limit else self.limit // 2

    def answer_room(self, answer: Sequence[int], labels: Sequence[str] = ()) -> int:
        """Tokens that an answer takes behind its prompt: in a conversation with the token that ends its turn."""
        return len(answer) + self.wording(labels).chat

    def prompt_limit(self, answer: int) -> int:
        """Tokens of a prompt, virtual ones included, that leave room for such an answer, and for those of training."""
        return self.limit - max(self.answer_limit(answer), self.room)

    def fitting(self, prompt: list[int], answers: list[list[int]]) -> Row:
        """Token ids within the limit: an answer that is too long by itself loses its end, the prompt its middle."""
        answers = [a[: self.answer_limit(len(a))] for a in answers]
        room = max((len(a) for a in answers), default=0)
        return shortened(prompt, max(self.limit - room, 1), len(self.virtual)), answers

    # -- texts and examples --------------------------------------------------------------------------------------

    @property
    def blank(self) -> int:
        """The token that stands for a text without any."""
        return self.tokenizer.eos_token_id or 0

    def read_text(self, text: str, limit: int) -> Fitted:
        """A text by itself, without a wording, in at most `limit` tokens; at least one."""

        def encode(prompt: Prompt) -> list[int]:
            return list(self.tokenizer(prompt, verbose=False)["input_ids"]) or [self.blank]

        limit = min(limit, self.context)
        found = fitted(text, limit, encode, self.tokenizer)
        if found.cut:
            self.counted.shortened[known_as(text)] = limit
        return found

    def encode_text(self, text: str, limit: int) -> list[int]:
        """Token ids of `read_text`."""
        return self.read_text(text, limit).ids

    def encode_answer(self, answer: str, labels: Sequence[str] = ()) -> list[int]:
        """Token ids of an answer that follows such a prompt."""
        raise LuthierError(f"{self.name}: {self.cannot}")

    def labelled(self, row: int, prompt: Prompt, labels: Sequence[str], targets: Sequence[int]) -> Example:
        """A prompt whose last place a label head reads."""
        found = self.read_prompt(prompt, labels)
        return Example(row, tuple(found.ids), (len(found.ids) - 1,), tuple(targets), cut=found.cut)

    def pair(self, row: int, read: Sequence[int], wanted: Sequence[int]) -> Example:
        """Tokens that are read, and those to be learned behind them."""
        raise LuthierError(f"{self.name}: {self.cannot}")

    def example(self, row: int, prompt: Prompt, answer: str, labels: Sequence[str] = ()) -> Example:
        """A prompt whose answer is to be learned."""
        raise LuthierError(f"{self.name}: {self.cannot}")

    def chat_examples(self, row: int, messages: Sequence[Message]) -> list[Example]:
        """Examples in which the assistant's turns of a conversation are learned."""
        raise LuthierError(f"{self.name}: {self.cannot}")
