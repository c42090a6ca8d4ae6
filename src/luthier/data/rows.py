"""One row's columns to a record, or the reason why not, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from luthier.data.formats import FIELDS, Row, kind, quoted
from luthier.protocols import Chat, Labelled, Message, Record

Layout = Literal["labelled", "messages", "instruct"]
LAYOUTS: Mapping[Layout, frozenset[str]] = MappingProxyType(
    {
        "labelled": frozenset({"text", "label"}),
        "messages": frozenset({"messages"}),
        "instruct": frozenset({"instruction", "input", "output"}),
    }
)
ROLES = ("system", "user", "assistant")
_SURROGATE = re.compile("[\ud800-\udfff]")
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
_HEADERS = frozenset({"label", "labels", "class", "category", "target", "intent", "sentiment", "标签", "类别"})


class RejectError(Exception):
    """Why one row is bad."""


@dataclass(frozen=True)
class Wanted:
    """What the caller said about the file, so that each row can be judged alone."""

    columns: Mapping[str, str]
    labels: Mapping[str, str]
    instruction: str | None
    names: frozenset[str]  # labels that pass as they are; empty: all do, unless `labels` is given

    def fields(self, row: Row) -> dict[str, Any]:
        """The row's columns under their field names; a mapped column wins over one that has the field's name."""
        mapped = {field: row.columns[name] for name, field in self.columns.items() if name in row.columns}
        taken = {*self.columns, *self.columns.values()}
        return {name: value for name, value in row.columns.items() if name in FIELDS and name not in taken} | mapped

    def call(self, field: str) -> str:
        """A field's name for a message."""
        return next((f'"{field}" (column "{c}")' for c, f in self.columns.items() if f == field), f'"{field}"')


def to_record(row: Row, layout: Layout, wanted: Wanted, first: bool) -> Record:
    """The row's record; `first` marks the first row of a table without header. Raises RejectError."""
    if row.reason:
        raise RejectError(row.reason)
    fields = wanted.fields(row)
    if layout == "messages":
        return _chat(fields, wanted)
    if layout == "labelled":
        return Labelled(text_of(fields, "text", wanted), _label(fields, wanted, first))
    output = text_of(fields, "output", wanted)
    return Chat((Message("user", ask(fields, wanted)), Message("assistant", output)))


def _check(value: Any, name: str) -> str:
    """`value` when it is text that can be used; `name` says whose it is."""
    if not isinstance(value, str):
        raise RejectError(f"{name} is {kind(value)}, not text")
    if not value.strip().strip(_INVISIBLE).strip():
        raise RejectError(f"{name} is empty")
    if "\0" in value:
        raise RejectError(f"{name} holds a NUL character")
    if _SURROGATE.search(value):
        raise RejectError(f"{name} holds half a character (a lone surrogate such as \\ud83d)")
    return value


def text_of(fields: Mapping[str, Any], field: str, wanted: Wanted) -> str:
    """A field that must be text. Raises RejectError."""
    if field not in fields:
        raise RejectError(f"missing field {wanted.call(field)}")
    return _check(fields[field], f"field {wanted.call(field)}")


def _label(fields: Mapping[str, Any], wanted: Wanted, first: bool) -> str:
    value = fields.get("label")
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, int):
        value = str(value)
    elif isinstance(value, float):  # 1.0 is how a data frame with gaps writes class 1
        value = str(value).removesuffix(".0")
    name = text_of({**fields, "label": value} if "label" in fields else fields, "label", wanted).strip()
    header = "; if this is a header row, map the columns by its names" if first else ""
    if name in wanted.labels:
        return wanted.labels[name]
    if name in wanted.names:
        return name
    if wanted.labels or wanted.names:
        known = quoted([*wanted.labels] or sorted(wanted.names))
        raise RejectError(f"label {quoted([name])} is none of {known}{header}")
    if first and name.casefold() in _HEADERS:
        raise RejectError(f"label {quoted([name])} looks like a column's name{header}")
    return name


def ask(fields: Mapping[str, Any], wanted: Wanted) -> str:
    """Instruction and input in one; the row's own instruction wins, and only with it may the input be empty."""
    own, given = fields.get("instruction"), fields.get("input")
    has_own = own is not None and own != ""
    if not has_own and wanted.instruction is None:
        return text_of(fields, "instruction", wanted)  # says what is wrong with it
    instruction = text_of(fields, "instruction", wanted) if has_own else wanted.instruction
    if has_own and (given is None or (isinstance(given, str) and not given.strip())):
        return str(instruction)
    text = text_of(fields, "input", wanted)
    return f"{instruction}\n{text}" if instruction else text


def _chat(fields: Mapping[str, Any], wanted: Wanted) -> Chat:
    name = f"field {wanted.call('messages')}"
    if "messages" not in fields:
        raise RejectError(f"missing {name}")
    turns = fields["messages"]
    if not isinstance(turns, list) or not turns:
        raise RejectError(f"{name} is {'empty' if turns == [] else kind(turns) + ', not a list of messages'}")
    messages: list[Message] = []
    for i, turn in enumerate(turns, 1):
        if not isinstance(turn, dict):
            raise RejectError(f"message {i} is {kind(turn)}, not an object with role and content")
        role = turn.get("role")
        if role not in ROLES:
            said = f"has role {quoted([role])}" if isinstance(role, str) else "has no role"
            raise RejectError(f"message {i} {said}: roles are {', '.join(ROLES)}")
        if "content" not in turn:
            raise RejectError(f"message {i} has no content")
        messages.append(Message(role, _check(turn["content"], f"the content of message {i}")))
    if messages[-1].role != "assistant":
        raise RejectError(f"the last message is the {messages[-1].role}'s, not the assistant's")
    if not any(message.role == "user" for message in messages):
        raise RejectError("no message is the user's")
    return Chat(tuple(messages))
