"""Other ways to give the same conversation to a chat template that refuses roles, or leaves system texts out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from luthier.core.records import Message

SYSTEM = ("system", "developer")


def forms_of(whole: list[Message]) -> Iterator[list[Message]]:
    """Ways to say the same: as it is, a developer as the system, system texts joined or given to the user..."""
    older = [replace(m, role="system") if m.role == "developer" else m for m in whole]
    seen: list[list[Message]] = []
    for change in (
        lambda: whole, lambda: older, lambda: _joined(whole, SYSTEM), lambda: _joined(older, SYSTEM),
        lambda: _folded(older), lambda: _joined(older), lambda: _joined(_folded(older)),
    ):  # fmt: skip
        form = change()
        if form not in seen:
            seen.append(form)
            yield form


def _folded(messages: list[Message]) -> list[Message]:
    """System texts put before the next words of the user."""
    out: list[Message] = []
    held: list[str] = []
    for message in messages:
        if message.role == "system":
            held.append(message.content)
        elif message.role == "user":
            out.append(replace(message, content="\n\n".join([*held, message.content])))
            held = []
        else:
            out.append(message)
    return [*out, Message("user", "\n\n".join(held))] if held else out


def _joined(messages: list[Message], roles: Sequence[str] = ("system", "user", "assistant")) -> list[Message]:
    """Neighbours with the same role made one, unless one of them is more than its words."""
    out: list[Message] = []
    for message in messages:
        if out and message.role in roles and _alike(out[-1], message):
            out[-1] = replace(out[-1], content=f"{out[-1].content}\n\n{message.content}")
        else:
            out.append(message)
    return out


def _alike(one: Message, two: Message) -> bool:
    bare = [replace(m, content="", tools="") for m in (one, two)]
    return bare[0] == bare[1] == Message(one.role, "", learned=one.learned)
