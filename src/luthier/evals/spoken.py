"""A conversation with its answer as one text: what reads texts, and not messages, judges."""

from __future__ import annotations

from collections.abc import Sequence

from luthier.core.records import Message, Prompt


def spoken(prompt: Prompt, answer: str) -> str:
    """What was said, a line a message, and the answer."""
    said = prompt if isinstance(prompt, str) else "\n".join(message.content for message in prompt)
    return f"{said}\n{answer}"


def spoken_all(conversations: Sequence[Sequence[Message]]) -> list[str]:
    """Conversations that end with their answers."""
    return [spoken(tuple(messages[:-1]), messages[-1].content) for messages in conversations]
