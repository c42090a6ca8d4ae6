"""JSON Lines, a document a line: a text with what else of it the row names, or a conversation (`item`)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from luthier.corpus.reading import Bad, Row, Source
from luthier.corpus.reading.item import document_of

ENDINGS = (".jsonl", ".ndjson")
KIND = "text"


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
    return document_of(found, place) if isinstance(found, dict) else Bad("broken_row", "no JSON object", place)
