"""What stands beside a conversation in a row and belongs to it: system text, earlier turns, context, tools.

One place for all layouts that make conversations. The system text comes first (before a system message of the row's
own: both stay), earlier turns behind the system messages, the context before the first words of the user. An answer
in earlier turns is learned like every other, unless a message of it says otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from luthier.core.records import Message, Prompt
from luthier.data.rows import Fields, RejectError, Wanted, check, present
from luthier.data.source import kind
from luthier.data.turns import asked_chat, messages_of, tools_of, until_learned

FRAME = frozenset({"system", "history", "context", "tools"})


def framed(own: Sequence[Message], fields: Fields, wanted: Wanted) -> tuple[Message, ...]:
    """The row's own messages with what stands beside them. Raises RejectError."""
    first = next((i for i, message in enumerate(own) if message.role not in ("system", "developer")), len(own))
    head, rest = list(own[:first]), list(own[first:])
    if (system := fields.optional("system")) is not None:
        head.insert(0, Message("system", check(system, f"field {wanted.call('system')}")))
    asked = next((i for i, message in enumerate(rest) if message.role == "user"), None)
    if asked is not None and (context := _context(fields)):
        rest[asked] = replace(rest[asked], content=f"{context}\n\n{rest[asked].content}")
    out = [*head, *_history(fields, wanted), *rest]
    if (tools := fields.optional("tools")) is not None:
        found = tools_of(tools, f"field {wanted.call('tools')}")
        if found == "[]":
            fields.trace.marks["column", fields.names["tools"]] = {"empty"}
        elif out:
            out[0] = replace(out[0], tools=found)
    return tuple(out)


def asked(text: str, fields: Fields, wanted: Wanted) -> Prompt:
    """A question of a row to predict on, with what stands beside it: a text where nothing does."""
    return bare(framed((Message("user", text),), fields, wanted))


def bare(messages: Prompt) -> Prompt:
    """A question as a text where it is nothing but the user's words."""
    only = messages[0] if len(messages) == 1 and not isinstance(messages, str) else None
    return only.content if isinstance(only, Message) and only.role == "user" and not only.tools else messages


def asked_messages(fields: Fields, wanted: Wanted) -> Prompt:
    """What a conversation to predict on asks: all before its last answer; all of it where it ends with a question."""
    field = "conversations" if "conversations" in fields and "messages" not in fields else "messages"
    value = until_learned(present(fields, field, wanted), fields.trace)
    own = list(messages_of(value, f"field {wanted.call(field)}", fields.trace))
    while own and own[-1].role == "assistant":
        own.pop()
    return bare(framed(asked_chat(own), fields, wanted))


def _context(fields: Fields) -> str:
    """Texts that the question is about; what is no text is left out (and the key reported)."""
    value = fields.optional("context")
    texts = value if isinstance(value, list) else [value]
    if value is not None and not all(isinstance(text, str) for text in texts):
        fields.trace.marks["column", fields.names["context"]] = {"unused"}
        return ""
    return "\n\n".join(check(text, "the context") for text in texts if text)


def _history(fields: Fields, wanted: Wanted) -> tuple[Message, ...]:
    """Earlier turns: messages, or pairs of a question and its answer. Raises RejectError."""
    value, name = fields.optional("history"), f"field {wanted.call('history')}"
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise RejectError(f"{name} is a text that is not JSON") from None
    if not value:
        return ()
    if not isinstance(value, list):
        raise RejectError(f"{name} is {kind(value)}, not a list of earlier turns")
    if all(isinstance(turn, dict) for turn in value):
        return messages_of(value, name, fields.trace)
    return tuple(message for i, pair in enumerate(value, 1) for message in _pair(pair, f"turn {i} of {name}"))


def _pair(pair: Any, name: str) -> tuple[Message, Message]:
    if not isinstance(pair, list) or len(pair) != 2:
        raise RejectError(f"{name} is {kind(pair)}, not a question and its answer")
    question, answer = pair
    return Message("user", check(question, f"the question of {name}")), Message(
        "assistant", check(answer, f"the answer of {name}")
    )
