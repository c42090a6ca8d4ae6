"""What rows ask: an instruction with its input, a question, a prompt of text or of messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from luthier.core.records import Message, Prompt
from luthier.data.conversation import asked, bare, framed
from luthier.data.rows import Fields, RejectError, Wanted, check, present, text_of
from luthier.data.turns import asked_chat, messages_of


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
    return with_instruction(instruction, text_of(fields, "input", wanted))


def with_instruction(instruction: str | None, text: str) -> str:
    """A text behind its instruction."""
    return f"{instruction}\n{text}" if instruction else text


def asks(make: Callable[[Fields, Wanted], str]) -> Callable[[Fields, Wanted], Prompt]:
    """What a row to predict on asks, with what stands beside it."""
    return lambda fields, wanted: asked(make(fields, wanted), fields, wanted)


def told(field: str) -> Callable[[Fields, Wanted], str]:
    """What reads a text that is asked, behind the instruction."""
    return lambda fields, wanted: with_instruction(wanted.instruction, text_of(fields, field, wanted))


def prompt_of(fields: Fields, wanted: Wanted) -> tuple[Message, ...]:
    """The conversation before an answer, from a text or a list of messages."""
    field = next((f for f in ("prompt", "conversations", "messages") if f in fields), "prompt")
    value = present(fields, field, wanted)
    if isinstance(value, str):
        own = (Message("user", with_instruction(wanted.instruction, check(value, f"field {wanted.call(field)}"))),)
        return framed(own, fields, wanted)
    messages = list(asked_chat(messages_of(value, f"field {wanted.call(field)}", fields.trace)))
    last = max((i for i, message in enumerate(messages) if message.role == "user"), default=None)
    if last is None:
        raise RejectError("no message is the user's")
    messages[last] = replace(messages[last], content=with_instruction(wanted.instruction, messages[last].content))
    return framed(messages, fields, wanted)


def asked_prompt(fields: Fields, wanted: Wanted) -> Prompt:
    """What a prompt of text or messages asks: a text where nothing stands beside it."""
    return bare(prompt_of(fields, wanted))


def listed(value: Any) -> Any:
    """One message is a list of it."""
    return [value] if isinstance(value, dict) else value
