"""Which columns make which record: one entry a layout, most specific ones win (`rank`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from luthier.data.rows import (
    Fields,
    RejectError,
    Wanted,
    answer_of,
    asked_chat,
    check,
    label_of,
    messages_of,
    number_of,
    present,
    tags_of,
    text_of,
    verdict,
    whole_chat,
)
from luthier.data.source import Row, kind
from luthier.protocols import Chat, Judged, Labelled, Message, Preference, Rated, Record, Tagged, Task, Text


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
    ask: Callable[[Fields, Wanted], str] | None = None
    rank: int = 2
    structured: bool = False
    labels: bool = False
    instruction: bool = False

    @property
    def fields(self) -> frozenset[str]:
        """All that --map may name together."""
        return self.needs | self.more

    def fits(self, fields: Fields, wanted: Wanted, answers: bool = True) -> bool:
        """Whether a row can be meant like this; `answers` False asks it of a row to predict on."""
        needed = self.needs if answers else self.asks
        return needed is not None and fields.keys() >= needed and self.also(fields, wanted)


def to_record(row: Row, layout: Layout, wanted: Wanted, first: bool) -> Record:
    """The row's record; `first` marks the first row of a table without header. Raises RejectError."""
    if row.reason:
        raise RejectError(row.reason)
    return layout.make(wanted.fields(row), wanted, first)


def ask(fields: Fields, wanted: Wanted) -> str:
    """Instruction and input in one; the row's own instruction wins, and only with it may the input be empty."""
    own, given = fields.get("instruction"), fields.get("input")
    has_own = own is not None and own != ""
    if not has_own and wanted.instruction is None:
        return text_of(fields, "instruction", wanted)  # says what is wrong with it
    instruction = text_of(fields, "instruction", wanted) if has_own else wanted.instruction
    if has_own and (given is None or (isinstance(given, str) and not given.strip())):
        return str(instruction)
    text = text_of(fields, "input", wanted)
    return _with(instruction, text)


def _with(instruction: str | None, text: str) -> str:
    return f"{instruction}\n{text}" if instruction else text


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
    return Chat(whole_chat(messages_of(present(fields, field, wanted), f"field {wanted.call(field)}")))


def _instruct(fields: Fields, wanted: Wanted, first: bool) -> Record:
    answer = answer_of(fields, "output", wanted)
    return Chat((Message("user", ask(fields, wanted)), Message("assistant", answer)))


def _question(fields: Fields, wanted: Wanted, first: bool) -> Record:
    answer = answer_of(fields, "answer", wanted)
    return Chat((Message("user", _told("question")(fields, wanted)), Message("assistant", answer)))


def _prompt(fields: Fields, wanted: Wanted) -> tuple[Message, ...]:
    """The conversation before an answer, from a text or a list of messages."""
    field = next((f for f in ("prompt", "conversations", "messages") if f in fields), "prompt")
    value = present(fields, field, wanted)
    if isinstance(value, str):
        return (Message("user", _with(wanted.instruction, check(value, f"field {wanted.call(field)}"))),)
    *head, last = asked_chat(messages_of(value, f"field {wanted.call(field)}"))
    return (*head, replace(last, content=_with(wanted.instruction, last.content)))


def _answer(value: Any, name: str) -> tuple[Message, ...]:
    """An answer as messages: a text is the assistant's; one message or a list of them may stand for it."""
    if isinstance(value, str):
        return (Message("assistant", check(value, name)),)
    return messages_of([value] if isinstance(value, dict) else value, name)


def _completion(fields: Fields, wanted: Wanted, first: bool) -> Record:
    answer = _answer(present(fields, "completion", wanted), f"field {wanted.call('completion')}")
    return Chat(whole_chat((*_prompt(fields, wanted), *answer)))


def _judged(fields: Fields, wanted: Wanted, first: bool) -> Record:
    name = f"field {wanted.call('completion')}"
    asked, answer = _split(_answer(present(fields, "completion", wanted), name), name)
    if asked:
        raise RejectError(f"{name} holds more than the answer")
    value = present(fields, "label", wanted)
    good = verdict(value)
    if good is None:
        shown = f'"{value}"' if isinstance(value, str) else kind(value)
        raise RejectError(f"field {wanted.call('label')} is {shown[:60]}, not true or false")
    return Judged(_prompt(fields, wanted), answer, good)


def _preference(fields: Fields, wanted: Wanted, first: bool) -> Record:
    sides = []
    for field in ("chosen", "rejected"):
        name = f"field {wanted.call(field)}"
        sides.append(_split(_answer(present(fields, field, wanted), name), name))
    (before, chosen), (other, rejected) = sides
    if before != other:
        raise RejectError("chosen and rejected differ before their last message")
    asked = asked_chat(before) if before else _prompt(fields, wanted)
    if chosen.strip() == rejected.strip():
        raise RejectError("chosen and rejected are the same answer")
    return Preference(asked, chosen, rejected)


def _split(messages: tuple[Message, ...], name: str) -> tuple[tuple[Message, ...], str]:
    """What stands before the answer, and the answer."""
    if messages[-1].role != "assistant":
        raise RejectError(f"{name} ends with the {messages[-1].role}'s message, not the assistant's")
    return messages[:-1], messages[-1].content


def _has_instruction(fields: Fields, wanted: Wanted) -> bool:
    return "instruction" in fields or ("input" in fields and wanted.instruction is not None)


def _has_verdict(fields: Fields, wanted: Wanted) -> bool:
    return verdict(fields["label"]) is not None


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
           more=_set("instruction", "input"), also=_has_instruction, asks=_set(), ask=ask),
    Layout("messages", _set("messages"), "generation", _messages, structured=True),
    Layout("conversations", _set("conversations"), "generation", _messages, structured=True),
    Layout("question and answer", _set("question", "answer"), "generation", _question, instruction=True,
           asks=_set("question"), ask=_told("question")),
    Layout("prompt and completion", _set("prompt", "completion"), "generation", _completion, instruction=True,
           asks=_set("prompt"), ask=_told("prompt")),
    Layout("prompt and completion and label", _set("prompt", "completion", "label"), "generation", _judged,
           instruction=True, also=_has_verdict, rank=3),
    Layout("prompt and chosen and rejected", _set("chosen", "rejected"), "generation", _preference,
           instruction=True, more=_set("prompt", "conversations", "messages"), rank=3),
)  # fmt: skip
