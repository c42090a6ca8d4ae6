"""Conversations written as one text, each turn behind the name of who speaks, as data of preferences has them.

\\n\\nHuman: How far is the moon?\\n\\nAssistant: 384,400 km.
"""

from __future__ import annotations

import re

from luthier.core.records import Message
from luthier.data.rows import RejectError, check

_SPEAKERS = {
    **dict.fromkeys(("Human", "User", "人类", "用户"), "user"),
    **dict.fromkeys(("Assistant", "AI", "助手", "助理"), "assistant"),
}
_TURN = re.compile(rf"(?:\A|\n\n)\s*({'|'.join(_SPEAKERS)})[:：]")


def is_transcript(value: object) -> bool:
    """Whether a value is a text that begins with somebody's turn."""
    return isinstance(value, str) and _TURN.match(value) is not None


def turns_of(text: str, name: str) -> tuple[tuple[Message, ...], str]:
    """The conversation before the last answer, and the answer. Raises RejectError; `name` says whose text it is."""
    _, *parts = _TURN.split(text)
    turns = [(who, _SPEAKERS[who], said) for who, said in zip(parts[::2], parts[1::2], strict=True)]
    *before, (who, role, answer) = turns
    if role != "assistant":
        raise RejectError(f"{name} ends with the words of {who}, not with an answer")
    if not before:
        raise RejectError(f"{name} begins with an answer: nothing is asked")
    asked = [Message(role, check(said, f"turn {i} of {name}").strip()) for i, (_, role, said) in enumerate(before, 1)]
    return tuple(asked), check(answer, f"the last answer of {name}").strip()
