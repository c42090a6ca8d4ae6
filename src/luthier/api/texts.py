"""What is asked from Python: one text or many, one conversation or many; what is neither is an error that says where.

A text is one question and gets one answer; everything that holds several (a list, a generator, a column of a data
frame, an array) gets a list of answers, in its order.
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.core.records import Message, Prompt


def texts_of(given: Any, name: str = "texts") -> tuple[list[str], bool]:
    """The texts, and whether it was a single one. Raises LuthierError, which names the argument and the place.

    >>> texts_of("where is my parcel?")
    (['where is my parcel?'], True)
    >>> texts_of(("a", "b"))
    (['a', 'b'], False)
    """
    if isinstance(given, str):
        return [_text(given, name)], True
    return [
        _text(value, f"{name}[{i}]") for i, value in enumerate(_many(given, name, "a text or a list of texts"))
    ], False


def prompts_of(given: Any, name: str = "prompts") -> tuple[list[Prompt], bool]:
    """The prompts, each a text or a conversation, and whether it was a single one. Raises LuthierError.

    A list of messages is one prompt: {"role": "user", "content": "…"}, or `luthier.core.records.Message`.
    """
    if isinstance(given, str):
        return [_text(given, name)], True
    wanted = "a text, a list of messages, or a list of these"
    values = list(_many(given, name, wanted))
    if any(isinstance(value, Message | Mapping) for value in values):
        return [_conversation(values, name)], True
    return [_prompt(value, f"{name}[{i}]") for i, value in enumerate(values)], False


def place_of(given: Any, name: str) -> Path:
    """A folder or file that an argument names. Raises LuthierError for what is no path."""
    if not isinstance(given, str | os.PathLike):
        raise LuthierError(f"{name}: must be a path, not {kind(given)}")
    return Path(given)


def kind(value: object) -> str:
    """What a value is, in words."""
    if value is None:
        return "None"
    if isinstance(value, bool):
        return f"{value}"
    if isinstance(value, numbers.Number):
        return "NaN (a gap in a table)" if isinstance(value, float) and math.isnan(value) else "a number"
    names: dict[type, str] = {
        str: "a text",
        bytes: "bytes",
        list: "a list",
        tuple: "a tuple",
        dict: "a dict",
        set: "a set",
    }
    found = type(value).__name__
    return names.get(type(value), f"{'an' if found[:1] in 'AEIOUaeiou' else 'a'} {found}")


def _many(given: Any, name: str, wanted: str) -> Iterator[Any]:
    """What holds several values, value by value."""
    if isinstance(given, Mapping | bytes | set | frozenset | Message):
        order = ", which has no order" if isinstance(given, set | frozenset) else ""
        raise LuthierError(f"{name}: must be {wanted}, not {kind(given)}{order}")
    if hasattr(given, "columns") and hasattr(given, "iloc"):
        raise LuthierError(f'{name}: is a whole data frame: give one of its columns, such as frame["text"]')
    if getattr(given, "ndim", 1) != 1:
        raise LuthierError(f"{name}: must be {wanted}, not an array of {given.ndim} dimensions")
    if not isinstance(given, Iterable):
        raise LuthierError(f"{name}: must be {wanted}, not {kind(given)}")
    return iter(given)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise LuthierError(f"{name}: must be a text, not {kind(value)}")
    text = str(value)  # NumPy's texts are a class of their own
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise LuthierError(f"{name}: holds half of a character at {error.start}: it is no valid text") from None
    return text


def _prompt(value: Any, name: str) -> Prompt:
    if isinstance(value, list | tuple):
        return _conversation(list(value), name)
    if not isinstance(value, str):
        raise LuthierError(f"{name}: must be a text or a list of messages, not {kind(value)}")
    return _text(value, name)


def _conversation(turns: list[Any], name: str) -> tuple[Message, ...]:
    """The messages of one conversation, in OpenAI's form or ShareGPT's."""
    from luthier.data.keys import Trace
    from luthier.data.rows import RejectError
    from luthier.data.turns import message_of

    out: list[Message] = []
    for i, turn in enumerate(turns):
        if isinstance(turn, Message):
            out.append(turn)
            continue
        if not isinstance(turn, Mapping):
            wanted = 'a message such as {"role": "user", "content": "…"}'
            raise LuthierError(f"{name}[{i}]: must be {wanted}, not {kind(turn)}")
        try:
            found = message_of(dict(turn), i, Trace())
        except RejectError as why:
            raise LuthierError(f"{name}[{i}]: {str(why).replace(f'message {i} ', '', 1)}") from None
        out += [found] if found else []
    if not out:
        raise LuthierError(f"{name}: a conversation without a message")
    return tuple(out)
