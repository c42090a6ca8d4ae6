"""JSON: a list of conversations or of texts, alone or as the one list of an object; each is a document.

The file is read as a whole: split what is larger.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from luthier.core.errors import LuthierError
from luthier.corpus.reading import Bad, Row, Source
from luthier.corpus.reading.item import MARKS, TEXTS, document_of, is_turn, turns_of
from luthier.data.encoding import document

ENDINGS = (".json",)
KIND = "text"
LISTS = ("conversations", "dialogues", "dialogs", "data", "rows", "items", "documents", "examples", "messages")


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
        yield document_of(item, f"item {number}")


def _items(found: Any) -> list[Any] | None:
    """The documents of a file, as it lists them."""
    if isinstance(found, list):
        return [found] if found and all(is_turn(each, MARKS) for each in found) else found
    if not isinstance(found, dict):
        return None
    if turns_of(found) is not None or any(isinstance(found.get(name), str) for name in TEXTS):
        return [found]
    return next((found[name] for name in LISTS if isinstance(found.get(name), list)), None)
