"""Which columns make which record: one entry a layout, most specific ones win (`rank`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from luthier.core.records import Chat, Labelled, Message, Prompt, Rated, Record, Tagged, Task, Text
from luthier.core.tasks import WRITTEN
from luthier.data import compared
from luthier.data.conversation import FRAME, asked_messages, bare, framed
from luthier.data.keys import Trace, nothing
from luthier.data.questions import ask, asked_prompt, asks, listed, prompt_of, told
from luthier.data.rows import (
    Fields,
    RejectError,
    Wanted,
    answer_of,
    answer_text,
    label_of,
    number_of,
    present,
    tags_of,
    text_of,
)
from luthier.data.source import Row
from luthier.data.turns import messages_of, until_learned, whole_chat
from luthier.data.verdicts import judged

Make = Callable[[Fields, Wanted, bool], Record]


@dataclass(frozen=True)
class Layout:
    """One way to lay out a row.

    name: its fields in words. needs: fields by which it is recognised. more: further fields that belong to it.
    also: what else must hold for a row to fit. asks: the fields of a row to predict on (None: there is no such row)
    and ask: what such a row asks.
    rank: of two layouts that fit at least half as many rows as the best, the higher one is meant.
    structured: its fields are lists, which tables have not. labels, instruction: it takes these options.
    """

    name: str
    needs: frozenset[str]
    task: Task
    make: Make
    more: frozenset[str] = frozenset()
    also: Callable[[Fields, Wanted], bool] = lambda fields, wanted: True
    asks: frozenset[str] | None = None
    ask: Callable[[Fields, Wanted], Prompt] | None = None
    rank: int = 2
    structured: bool = False
    labels: bool = False
    instruction: bool = False

    @property
    def fields(self) -> frozenset[str]:
        """All that --map may name together."""
        beside = FRAME | ({"label"} if self.task == "generation" else frozenset())
        return self.needs | self.more | (beside if self.task in WRITTEN else frozenset())

    def fits(self, fields: Fields, wanted: Wanted, answers: bool = True) -> bool:
        """Whether a row can be meant like this; `answers` False asks it of a row to predict on."""
        needed = self.needs if answers else self.asks
        return needed is not None and fields.keys() >= needed and self.also(fields, wanted)


def to_prompt(row: Row, layout: Layout, wanted: Wanted) -> Prompt:
    """What a row to predict on asks. Raises RejectError."""
    if row.reason:
        raise RejectError(row.reason)
    assert layout.ask is not None
    return layout.ask(wanted.fields(row), wanted)


def _plainly(fields: Fields, wanted: Wanted) -> str:
    return text_of(fields, "text", wanted)


def _labelled(fields: Fields, wanted: Wanted, first: bool) -> Record:
    text = text_of(fields, "text", wanted)
    header = "; if this is a header row, map the columns by its names" if first else ""
    return Labelled(text, label_of(present(fields, "label", wanted), f"field {wanted.call('label')}", wanted, header))


def _tagged(fields: Fields, wanted: Wanted, first: bool) -> Record:
    return Tagged(text_of(fields, "text", wanted), tags_of(fields, wanted))


def _rated(fields: Fields, wanted: Wanted, first: bool) -> Record:
    return Rated(text_of(fields, "text", wanted), number_of(fields, "value", wanted))


def _text(fields: Fields, wanted: Wanted, first: bool) -> Record:
    return Text(text_of(fields, "text", wanted), wanted.source)


def _messages(fields: Fields, wanted: Wanted, first: bool) -> Record:
    field = "conversations" if "conversations" in fields and "messages" not in fields else "messages"
    value = until_learned(present(fields, field, wanted), fields.trace)
    own = messages_of(value, f"field {wanted.call(field)}", fields.trace)
    return _conversation(framed(own, fields, wanted), fields.trace)


def _conversation(messages: tuple[Message, ...], trace: Trace) -> Record:
    """A conversation to learn from, or one whose answers were all found bad. Raises RejectError."""
    last = messages[-1] if messages else None
    if trace.disliked and last and last.role == "assistant" and not last.learned:
        return judged(messages, False)
    return Chat(whole_chat(messages))


def _exchange(question: str, answer: str, fields: Fields, wanted: Wanted) -> Record:
    return Chat(framed((Message("user", question), Message("assistant", answer)), fields, wanted))


def _instruct(fields: Fields, wanted: Wanted, first: bool) -> Record:
    return _exchange(ask(fields, wanted), answer_of(fields, "output", wanted), fields, wanted)


def _question(fields: Fields, wanted: Wanted, first: bool) -> Record:
    return _exchange(told("question")(fields, wanted), answer_of(fields, "answer", wanted), fields, wanted)


def _answers(fields: Fields, wanted: Wanted, first: bool) -> Record:
    """The first of several answers, as SQuAD has them: {text: [...], answer_start: [...]}, or a list of texts."""
    value, name, mark = present(fields, "answers", wanted), f"field {wanted.call('answers')}", fields.trace.mark
    if isinstance(value, dict):
        for key in value:
            mark("answers", str(key), "used" if key == "text" else "unused")
        value = value.get("text")
    texts = value if isinstance(value, list) else [value]
    if not texts:
        raise RejectError(f"{name} holds no answer")
    if len({str(text) for text in texts}) > 1:
        mark("answers", "text[1:]", "unused")
    answer = answer_text(texts[0], f"the text of {name}", fields.trace)
    return _exchange(told("question")(fields, wanted), answer, fields, wanted)


def _completion(fields: Fields, wanted: Wanted, first: bool) -> Record:
    value, name = present(fields, "completion", wanted), f"field {wanted.call('completion')}"
    if isinstance(value, str) or nothing(value):
        answer: tuple[Message, ...] = (Message("assistant", answer_text(value, name, fields.trace)),)
    else:
        answer = messages_of(until_learned(listed(value), fields.trace), name, fields.trace)
    return _conversation((*prompt_of(fields, wanted), *answer), fields.trace)


def _has_instruction(fields: Fields, wanted: Wanted) -> bool:
    return "instruction" in fields or ("input" in fields and wanted.instruction is not None)


def _has_prompt(fields: Fields, wanted: Wanted) -> bool:
    return bool(PROMPTS & fields.keys())


def _is_rating(fields: Fields, wanted: Wanted) -> bool:
    """Whether the number is more than a verdict: 0 and 1 say bad and good."""
    value = fields["value"]
    return (
        _has_prompt(fields, wanted)
        and not isinstance(value, bool)
        and str(value).strip() not in ("", "-1", "0", "1", "0.0", "1.0", "-1.0")
    )


def _compared(name: str, needs: frozenset[str], make: Make, **more: Any) -> Layout:
    """A layout of answers that people compared."""
    usual: dict[str, Any] = {"structured": True, "also": _has_prompt, "asks": needs, "ask": asked_prompt}
    return Layout(name, needs, "preference", make, more=PROMPTS, rank=3, instruction=True, **(usual | more))


def _alone(fields: Fields, wanted: Wanted) -> bool:
    """Whether there is nothing that may be an answer: what is no text, or names a row, is none."""
    return set(fields.columns) <= {fields.names["prompt"], *(fields.names.get(name, "") for name in FRAME), *BESIDE}


def _set(*names: str) -> frozenset[str]:
    return frozenset(names)


PROMPTS = _set("prompt", "conversations", "messages")
BESIDE = _set(
    "id", "idx", "index", "source", "category", "topic", "language", "lang", "编号", "序号", "来源", "类别", "语言"
)
TEXT = Layout("text alone", _set("text"), "text", _text, rank=0)
LAYOUTS = (
    Layout("text and label", _set("text", "label"), "classification", _labelled, labels=True, asks=_set("text"),
           ask=_plainly),
    Layout("text and labels", _set("text", "labels"), "multilabel", _tagged, labels=True),
    Layout("text and value", _set("text", "value"), "regression", _rated, rank=1),
    TEXT,
    Layout("instruction and input and output", _set("output"), "generation", _instruct, instruction=True,
           more=_set("instruction", "input"), also=_has_instruction, asks=_set(), ask=asks(ask)),
    Layout("messages", _set("messages"), "generation", _messages, structured=True, asks=_set("messages"),
           ask=asked_messages),
    Layout("conversations", _set("conversations"), "generation", _messages, structured=True,
           asks=_set("conversations"), ask=asked_messages),
    Layout("question and answer", _set("question", "answer"), "generation", _question, instruction=True,
           asks=_set("question"), ask=asks(told("question"))),
    Layout("question and answers", _set("question", "answers"), "generation", _answers, instruction=True, rank=1,
           asks=_set("question"), ask=asks(told("question"))),
    Layout("prompt and completion", _set("prompt", "completion"), "generation", _completion, instruction=True,
           asks=_set("prompt"), ask=asked_prompt),
    Layout("prompt and chosen and rejected", _set("chosen", "rejected"), "preference", compared.preference,
           instruction=True, more=PROMPTS, rank=3, asks=_set("chosen", "rejected"),
           ask=lambda fields, wanted: bare(compared.preference(fields, wanted, False).asked)),
    _compared("prompt and answers and ranks", _set("answers", "ranks"), compared.ranked),
    _compared("prompt and answers and scores", _set("answers", "scores"), compared.rated),
    _compared("prompt and ranking", _set("ranking"), compared.in_order),
    _compared("prompt and original and edited", _set("original", "edited"), compared.edited, structured=False),
    _compared("prompt and completion and value", _set("completion", "value"), compared.scored, structured=False,
              also=_is_rating),
    Layout("prompt alone", _set("prompt"), "preference", compared.prompt_alone, instruction=True, rank=0,
           also=_alone),
)  # fmt: skip
