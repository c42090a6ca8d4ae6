"""JSON Lines, a document a line: `text` (or `content`, `body`), and what else of a document the row names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from luthier.corpus.reading import Bad, Row, Source

ENDINGS = (".jsonl", ".ndjson")
KIND = "text"
TEXTS = ("text", "content", "body", "raw_content")
NAMES = {
    "id": ("id", "doc_id", "_id"), "kind": ("kind",), "language": ("language", "lang"),
    "licence": ("licence", "license"),
}  # fmt: skip


def read(source: Source) -> Iterator[Row | Bad]:
    for place, line in source.each_line():
        if isinstance(line, Bad):
            yield line
        elif line.strip():
            yield _row(line, place)


def _row(line: bytes, place: str) -> Row | Bad:
    try:
        found = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Bad("encoding", f"no UTF-8: {error.reason} at byte {error.start}", place)
    except (ValueError, RecursionError) as error:
        return Bad("broken_row", f"no JSON: {str(error)[:80]}", place)
    return row_of(found, place) if isinstance(found, dict) else Bad("broken_row", "no JSON object", place)


def row_of(found: Mapping[str, Any], place: str) -> Row | Bad:
    """A document of a row's values, or what is wrong with it."""
    field = next((name for name in TEXTS if isinstance(found.get(name), str)), None)
    if field is None:
        return Bad("no_text", f"none of {', '.join(TEXTS)} is a text: {', '.join(map(str, list(found)[:6]))}", place)
    named = {
        name: next((str(found[key]) for key in keys if isinstance(found.get(key), str | int)), "")
        for name, keys in NAMES.items()
    }
    return Row(found[field].encode("utf-8", "replace").decode(), place, **named)
