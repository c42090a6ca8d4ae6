"""What data is made of: one frozen class a kind of row."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal

Task = Literal["classification", "multilabel", "regression", "generation", "text", "preference"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `role` is system, developer, user, assistant or tool.

    name: who speaks, or which tool answers. reasoning: what the assistant thought before the content. calls: the tools
    it calls, a JSON list in OpenAI's form with arguments as objects; call_id: the call that a tool's turn answers.
    tools: the declarations of all tools, a JSON list; it stands on a conversation's first message. learned: False for
    an assistant's turn that carries no loss. Change a message with `dataclasses.replace`, so that nothing is lost.
    """

    role: str
    content: str
    name: str = ""
    reasoning: str = ""
    calls: str = ""
    call_id: str = ""
    tools: str = ""
    learned: bool = True

    @property
    def said(self) -> str:
        """The words, and each call as JSON on a line of its own: what an answer is compared with."""
        if not self.calls:
            return self.content
        calls = [json.dumps(call["function"], ensure_ascii=False) for call in json.loads(self.calls)]
        return "\n".join([self.content, *calls] if self.content else calls)

    def __repr__(self) -> str:
        """What it has, as a call: fingerprints are made from it, so what it has not is left out."""
        return f"Message({', '.join(f'{name}={value!r}' for name, value in record_values(self).items())})"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text and the name of its class."""

    text: str
    label: str

    @property
    def asked(self) -> str:
        """What a model is given."""
        return self.text

    @property
    def wanted(self) -> str:
        """What it should say."""
        return self.label


@dataclass(frozen=True, slots=True)
class Tagged:
    """A text and the names of all classes it belongs to; none is a valid answer."""

    text: str
    tags: tuple[str, ...]

    @property
    def asked(self) -> str:
        """What a model is given."""
        return self.text

    @property
    def wanted(self) -> str:
        """What it should say."""
        return ", ".join(self.tags)


@dataclass(frozen=True, slots=True)
class Rated:
    """A text and a number to predict."""

    text: str
    value: float

    @property
    def asked(self) -> str:
        """What a model is given."""
        return self.text

    @property
    def wanted(self) -> str:
        """What it should say."""
        return f"{self.value:g}"


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation whose assistant turns are to be learned; the last message is the assistant's."""

    messages: tuple[Message, ...]

    @property
    def asked(self) -> tuple[Message, ...]:
        """What a model is given."""
        return self.messages[:-1]

    @property
    def wanted(self) -> str:
        """What it should say."""
        return self.messages[-1].said


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text: every token is learned. source: where it comes from, such as a file's name."""

    text: str
    source: str = ""

    @property
    def asked(self) -> str:
        """What a model is given."""
        return ""

    @property
    def wanted(self) -> str:
        """What it should say."""
        return self.text


class Compared(ABC):
    """What pairs and rankings share: answers to one conversation, each with a number; a higher one was liked better."""

    __slots__ = ()
    messages: tuple[Message, ...]

    @property
    @abstractmethod
    def answers(self) -> tuple[str, ...]:
        """All of them."""

    @property
    @abstractmethod
    def worth(self) -> tuple[float, ...]:
        """A number an answer; answers with equal numbers are not told apart."""

    @property
    def conversations(self) -> tuple[tuple[Message, ...], ...]:
        """The whole conversation with each of the answers."""
        return tuple((*self.messages, Message("assistant", text)) for text in self.answers)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Places of the better and of the worse answer, for all pairs that are told apart."""
        found = self.worth
        return tuple((i, j) for i, a in enumerate(found) for j, b in enumerate(found) if a > b)

    @property
    def asked(self) -> tuple[Message, ...]:
        """What a model is given."""
        return self.messages

    @property
    def wanted(self) -> str:
        """What it should say: the first of the best."""
        return self.answers[max(range(len(self.worth)), key=lambda at: self.worth[at])]


@dataclass(frozen=True, slots=True)
class Preference(Compared):
    """A conversation that ends with the user's turn, the answer that was preferred and the one that was not."""

    messages: tuple[Message, ...]
    chosen: str
    rejected: str

    @property
    def answers(self) -> tuple[str, ...]:
        return self.chosen, self.rejected

    @property
    def worth(self) -> tuple[float, ...]:
        return 1.0, 0.0


@dataclass(frozen=True, slots=True)
class Ranking(Compared):
    """A conversation that ends with the user's turn, and two or more answers with a number each."""

    messages: tuple[Message, ...]
    texts: tuple[str, ...]
    numbers: tuple[float, ...]

    @property
    def answers(self) -> tuple[str, ...]:
        return self.texts

    @property
    def worth(self) -> tuple[float, ...]:
        return self.numbers


@dataclass(frozen=True, slots=True)
class Scored:
    """A conversation that ends with the user's turn, one answer, and the number that it was given.

    Several of one conversation are a ranking (`luthier.data.ranked`).
    """

    messages: tuple[Message, ...]
    answer: str
    number: float

    @property
    def asked(self) -> tuple[Message, ...]:
        """What a model is given."""
        return self.messages

    @property
    def wanted(self) -> str:
        """What it should say."""
        return self.answer


@dataclass(frozen=True, slots=True)
class Asked:
    """A conversation that ends with the user's turn, and no answer: for what samples its own."""

    messages: tuple[Message, ...]

    @property
    def asked(self) -> tuple[Message, ...]:
        """What a model is given."""
        return self.messages

    @property
    def wanted(self) -> str:
        """Nothing is known of what it should say."""
        return ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A conversation that ends with the user's turn, an answer, and whether it was found good.

    name, reasoning, calls: of the answer, as a message has them.
    """

    messages: tuple[Message, ...]
    answer: str
    good: bool
    name: str = ""
    reasoning: str = ""
    calls: str = ""

    @property
    def reply(self) -> Message:
        """The answer as a message."""
        return Message("assistant", self.answer, self.name, self.reasoning, self.calls)

    @property
    def asked(self) -> tuple[Message, ...]:
        """What a model is given."""
        return self.messages

    @property
    def wanted(self) -> str:
        """What it should say."""
        return self.reply.said


Prompt = str | Sequence[Message]
Record = Labelled | Tagged | Rated | Chat | Text | Preference | Ranking | Scored | Judged | Asked
_USUAL = {f.name: f.default for f in fields(Message) if f.default is not MISSING}


def record_values(record: Record | Message) -> dict[str, Any]:
    """The record as plain values, for files and fingerprints; what a message has not is left out of it."""
    return asdict(record, dict_factory=lambda pairs: {k: v for k, v in pairs if k not in _USUAL or v != _USUAL[k]})


@dataclass(frozen=True)
class Sampling:
    """How text is decoded: greedy when `temperature` is 0."""

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
