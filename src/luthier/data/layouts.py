"""Which columns make which record: one entry a layout, most specific ones win (`rank`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from luthier.core.records import Chat, Labelled, Message, Preference, Prompt, Rated, Record, Tagged, Task, Text
from luthier.core.tasks import WRITTEN
from luthier.data.conversation import FRAME, asked, asked_messages, bare, framed
from luthier.data.keys import Trace, nothing
from luthier.data.rows import (
    Fields,
    RejectError,
    Wanted,
    answer_of,
    answer_text,
    check,
    label_of,
    number_of,
    present,
    tags_of,
    text_of,
)
from luthier.data.source import Row
from luthier.data.transcripts import is_transcript, turns_of
from luthier.data.turns import asked_chat, messages_of, until_learned, whole_chat
from luthier.data.verdicts import judged


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
    make: Callable[[Fields, Wanted, bool], Record]
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
        beside = FRAME | ({"label"} if "chosen" not in self.needs else frozenset())
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


def ask(fields: Fields, wanted: Wanted) -> str:
    """Instruction and input in one; the row's own instruction wins, and only with it may the input be empty."""
    own, given = fields.get("instruction"), fields.get("input")
    has_own = own is not None and own != ""
    if not has_own and wanted.instruction is None:
        return text_of(fields, "instruction", wanted)  # says what is wrong with it
    if has_own:
        instruction: str | None = text_of(fields, "instruction", wanted)
        if given is None or (isinstance(given, str) and not given.strip()):
            fields.optional("input")
            return str(instruction)
    else:
        fields.optional("instruction")
        instruction = wanted.instruction
    return _with(instruction, text_of(fields, "input", wanted))


def _with(instruction: str | None, text: str) -> str:
    return f"{instruction}\n{text}" if instruction else text


def _asks(make: Callable[[Fields, Wanted], str]) -> Callable[[Fields, Wanted], Prompt]:
    """What a row to predict on asks, with what stands beside it."""
    return lambda fields, wanted: asked(make(fields, wanted), fields, wanted)


def _told(field: str) -> Callable[[Fields, Wanted], str]:
    return lambda fields, wanted: _with(wanted.instruction, text_of(fields, field, wanted))


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
    return _exchange(_told("question")(fields, wanted), answer_of(fields, "answer", wanted), fields, wanted)


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
    return _exchange(_told("question")(fields, wanted), answer, fields, wanted)


def _prompt(fields: Fields, wanted: Wanted) -> tuple[Message, ...]:
    """The conversation before an answer, from a text or a list of messages."""
    field = next((f for f in ("prompt", "conversations", "messages") if f in fields), "prompt")
    value = present(fields, field, wanted)
    if isinstance(value, str):
        own = (Message("user", _with(wanted.instruction, check(value, f"field {wanted.call(field)}"))),)
        return framed(own, fields, wanted)
    messages = list(asked_chat(messages_of(value, f"field {wanted.call(field)}", fields.trace)))
    last = max((i for i, message in enumerate(messages) if message.role == "user"), default=None)
    if last is None:
        raise RejectError("no message is the user's")
    messages[last] = replace(messages[last], content=_with(wanted.instruction, messages[last].content))
    return framed(messages, fields, wanted)


def _completion(fields: Fields, wanted: Wanted, first: bool) -> Record:
    value, name = present(fields, "completion", wanted), f"field {wanted.call('completion')}"
    if isinstance(value, str) or nothing(value):
        answer: tuple[Message, ...] = (Message("assistant", answer_text(value, name, fields.trace)),)
    else:
        answer = messages_of(until_learned(_listed(value), fields.trace), name, fields.trace)
    return _conversation((*_prompt(fields, wanted), *answer), fields.trace)


def _listed(value: Any) -> Any:
    """One message is a list of it."""
    return [value] if isinstance(value, dict) else value


def _asked(fields: Fields, wanted: Wanted) -> Prompt:
    """What a prompt of text or messages asks: a text where nothing stands beside it."""
    return bare(_prompt(fields, wanted))


def _preference(fields: Fields, wanted: Wanted, first: bool) -> Record:
    whole = not {"prompt", "conversations", "messages"} & fields.keys()
    (before, chosen), (other, rejected) = (
        turns_of(value, name) if whole and is_transcript(value) else _split(value, name, fields.trace)
        for value, name in (
            (present(fields, field, wanted), f"field {wanted.call(field)}") for field in ("chosen", "rejected")
        )
    )
    if before != other:
        raise RejectError("chosen and rejected differ before their last message")
    asked = framed(asked_chat(before), fields, wanted) if before else _prompt(fields, wanted)
    if chosen.strip() == rejected.strip():
        raise RejectError("chosen and rejected are the same answer")
    return Preference(asked, chosen, rejected)


def _split(value: Any, name: str, trace: Trace) -> tuple[tuple[Message, ...], str]:
    """What stands before an answer, and the answer: a text, a message, or a conversation that ends with it."""
    if isinstance(value, str):
        return (), check(value, name)
    turns = _listed(value)
    if not isinstance(turns, list) or not turns:
        return messages_of(turns, name, trace), ""  # says what is wrong with it
    before = messages_of(turns[:-1], name, trace) if turns[:-1] else ()
    own = Trace()
    (*_, last) = messages_of(turns[-1:], name, own) or (Message("system", ""),)
    if last.role != "assistant":
        raise RejectError(f"{name} ends with the {last.role}'s message, not the assistant's")
    if last.calls or last.reasoning:
        raise RejectError(
            f"{name} ends with {'calls of tools' if last.calls else 'reasoning'}: a judged answer is text"
        )
    for (level, key), effects in own.marks.items():  # all but the words of the answer is left out
        kept = level != "message" or key in ("role", "from", "content", "value")
        for effect in effects:
            trace.mark(level, key, effect if kept or effect == "empty" else "unused")
    return before, last.content


def _has_instruction(fields: Fields, wanted: Wanted) -> bool:
    return "instruction" in fields or ("input" in fields and wanted.instruction is not None)


def _set(*names: str) -> frozenset[str]:
    return frozenset(names)


TEXT = Layout("text alone", _set("text"), "text", _text, rank=0)
LAYOUTS = (
    Layout("text and label", _set("text", "label"), "classification", _labelled, labels=True, asks=_set("text"),
           ask=_plainly),
    Layout("text and labels", _set("text", "labels"), "multilabel", _tagged, labels=True),
    Layout("text and value", _set("text", "value"), "regression", _rated, rank=1),
    TEXT,
    Layout("instruction and input and output", _set("output"), "generation", _instruct, instruction=True,
           more=_set("instruction", "input"), also=_has_instruction, asks=_set(), ask=_asks(ask)),
    Layout("messages", _set("messages"), "generation", _messages, structured=True, asks=_set("messages"),
           ask=asked_messages),
    Layout("conversations", _set("conversations"), "generation", _messages, structured=True,
           asks=_set("conversations"), ask=asked_messages),
    Layout("question and answer", _set("question", "answer"), "generation", _question, instruction=True,
           asks=_set("question"), ask=_asks(_told("question"))),
    Layout("question and answers", _set("question", "answers"), "generation", _answers, instruction=True, rank=1,
           asks=_set("question"), ask=_asks(_told("question"))),
    Layout("prompt and completion", _set("prompt", "completion"), "generation", _completion, instruction=True,
           asks=_set("prompt"), ask=_asked),
    Layout("prompt and chosen and rejected", _set("chosen", "rejected"), "preference", _preference,
           instruction=True, more=_set("prompt", "conversations", "messages"), rank=3,
           asks=_set("chosen", "rejected"), ask=lambda fields, wanted: bare(_preference(fields, wanted, False).asked)),
)  # fmt: skip
