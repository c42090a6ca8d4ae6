"""What one object of a file says as a document: a text, or a conversation with a line a turn, `role: text`.

A conversation is a list of turns: objects with role and content (or from and value, as ShareGPT has it), or mere
utterances; a question with its answer (instruction, input, output, as Alpaca has it) is one of two turns. What has a
text as well is that text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from luthier.corpus.reading import Bad, Row

TEXTS = ("text", "content", "body", "raw_content")
NAMES = {
    "id": ("id", "doc_id", "_id"), "kind": ("kind",), "language": ("language", "lang"),
    "licence": ("licence", "license"),
}  # fmt: skip
TURNS = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "utterances", "chat", "thread")
SPEAKERS = ("role", "from", "speaker", "author", "user")
MARKS = ("role", "from", "speaker")  # by which a list alone is known as a conversation
SAID = ("content", "value", "text", "utterance", "message")
PAIRS = (("instruction", "output"), ("prompt", "completion"), ("prompt", "response"), ("question", "answer"))
ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant"}


def row_of(found: Mapping[str, Any], place: str) -> Row | Bad:
    """A document of a row's values, or what is wrong with it."""
    field = next((name for name in TEXTS if isinstance(found.get(name), str)), None)
    if field is None:
        return Bad("no_text", f"none of {', '.join(TEXTS)} is a text: {', '.join(map(str, list(found)[:6]))}", place)
    named = {
        name: next((str(found[key]) for key in keys if isinstance(found.get(key), str | int)), "")
        for name, keys in NAMES.items()
    }
    return Row(found[field], place, **named)


def document_of(item: Any, place: str) -> Row | Bad:
    """A text, a conversation, or an object that has either, as a document."""
    if isinstance(item, str):
        return Row(item, place)
    said = isinstance(item, dict) and any(isinstance(item.get(name), str) for name in TEXTS)
    turns = item if isinstance(item, list) else turns_of(item) if isinstance(item, dict) and not said else None
    if turns is None:
        return row_of(item, place) if isinstance(item, dict) else Bad("broken_row", "no object and no list", place)
    lines = [line for turn in turns if (line := _line(turn))]
    if not lines:
        return Bad("no_text", "no turn says anything", place)
    row = row_of({**item, TEXTS[0]: "-"}, place) if isinstance(item, dict) else Row("", place)
    made = row if isinstance(row, Row) else Row("", place)
    return replace(made, text="\n".join(lines), kind="conversation")


def turns_of(item: Mapping[str, Any]) -> list[Any] | None:
    """The turns of a conversation; None for what is none."""
    for name in TURNS:
        value = item.get(name)
        if isinstance(value, list) and value and all(isinstance(each, str) or is_turn(each) for each in value):
            return value
    for asks, answers in PAIRS:
        if isinstance(item.get(asks), str) and isinstance(item.get(answers), str):
            asked = "\n".join(text for name in (asks, "input") if (text := _text(item.get(name))))
            return [{"role": "user", "content": asked}, {"role": "assistant", "content": item[answers]}]
    return None


def is_turn(value: Any, who: tuple[str, ...] = SPEAKERS) -> bool:
    """An object that says who speaks and what."""
    return isinstance(value, dict) and any(name in value for name in who) and any(name in value for name in SAID)


def _line(turn: Any) -> str:
    """A turn as a line, "" where nothing is said in it."""
    if isinstance(turn, str):
        return turn.strip()
    if not isinstance(turn, dict):
        return ""
    said = next((text for name in SAID if (text := _text(turn.get(name)))), "")
    who = next((turn[name] for name in SPEAKERS if isinstance(turn.get(name), str)), "").strip()
    return f"{ROLES.get(who.lower(), who)}: {said}" if said and who else said


def _text(value: Any) -> str:
    """What is said: a text, or the texts among the parts of a message."""
    if isinstance(value, list):
        parts = (part.get("text") for part in value if isinstance(part, dict))
        return "\n".join(part for part in parts if isinstance(part, str)).strip()
    return value.strip() if isinstance(value, str) else ""
