"""JSON: a list of conversations or of texts, alone or as the one list of an object; each is a document.

A conversation is a list of turns: objects with role and content (or from and value, as ShareGPT has it), or mere
utterances. Its document has a line a turn, `role: text`. The file is read as a whole: split what is larger.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from luthier.core.errors import LuthierError
from luthier.corpus.reading import Bad, Row, Source
from luthier.corpus.reading.rows import TEXTS, row_of
from luthier.data.encoding import document

ENDINGS = (".json",)
KIND = "text"
LISTS = ("conversations", "dialogues", "dialogs", "data", "rows", "items", "documents", "examples", "messages")
TURNS = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "utterances", "chat", "thread")
SPEAKERS = ("role", "from", "speaker", "author", "user")
MARKS = ("role", "from", "speaker")  # by which a list alone is known as a conversation
SAID = ("content", "value", "text", "utterance", "message")
ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant"}


def read(source: Source) -> Iterator[Row | Bad]:
    data = source.whole()
    if not data.strip():
        yield Bad("empty")
        return
    try:
        found = json.loads(document(data)[0].removeprefix("\ufeff"))
    except LuthierError as error:
        yield Bad("encoding", str(error))
        return
    except (ValueError, RecursionError) as error:
        yield Bad("broken_file", f"no JSON: {str(error)[:80]}")
        return
    del data
    items = _items(found)
    if items is None:
        shown = ", ".join(map(str, list(found)[:6])) if isinstance(found, dict) else type(found).__name__
        yield Bad("no_text", f"neither a list of conversations nor one of texts: {shown[:200]}")
        return
    for number, item in enumerate(items, 1):
        yield _clean(_document(item, f"item {number}"))


def _items(found: Any) -> list[Any] | None:
    """The documents of a file, as it lists them."""
    if isinstance(found, list):
        return [found] if found and all(_is_turn(each, MARKS) for each in found) else found
    if not isinstance(found, dict):
        return None
    if _turns(found) is not None or any(isinstance(found.get(name), str) for name in TEXTS):
        return [found]
    return next((found[name] for name in LISTS if isinstance(found.get(name), list)), None)


def _document(item: Any, place: str) -> Row | Bad:
    if isinstance(item, str):
        return Row(item, place)
    turns = item if isinstance(item, list) else _turns(item) if isinstance(item, dict) else None
    if turns is None:
        return row_of(item, place) if isinstance(item, dict) else Bad("broken_row", "no object and no list", place)
    lines = [line for turn in turns if (line := _line(turn))]
    if not lines:
        return Bad("no_text", "no turn says anything", place)
    row = row_of({**item, TEXTS[0]: "-"}, place) if isinstance(item, dict) else Row("", place)
    made = row if isinstance(row, Row) else Row("", place)
    return replace(made, text="\n".join(lines), kind="conversation")


def _turns(item: Mapping[str, Any]) -> list[Any] | None:
    """The turns of a conversation; None for what is none."""
    for name in TURNS:
        value = item.get(name)
        if isinstance(value, list) and value and all(isinstance(each, str) or _is_turn(each) for each in value):
            return value
    return None


def _is_turn(value: Any, who: tuple[str, ...] = SPEAKERS) -> bool:
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


def _clean(found: Row | Bad) -> Row | Bad:
    """Without half characters such as JSON's "\\ud800", which no file can hold."""
    if isinstance(found, Bad):
        return replace(found, detail=found.detail.encode("utf-8", "replace").decode())
    values = {name: str(getattr(found, name)).encode("utf-8", "replace").decode() for name in found.__dict__}
    return Row(**values)
