"""JSON Lines: a section a row. `text` (or `content`, `body`, or all strings of the row) is read; the rest are tags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from luthier.core.document import Section
from luthier.core.errors import LuthierError
from luthier.data.document_readers import Found
from luthier.data.encoding import document

ENDINGS = (".jsonl", ".ndjson")
TEXTS = ("text", "content", "body")
TAG = 200  # characters; longer values are no tags


def read(path: Path) -> Found:
    """Rows that are broken or hold no text are noted by line."""
    text, notes = document(path.read_bytes())
    sections: list[Section] = []
    bad: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                sections.append(_section(json.loads(line), number))
            except (ValueError, RecursionError) as error:
                bad.append(f"line {number}: {str(error)[:80] or type(error).__name__}")
    if bad:
        notes.append(f"{len(bad)} rows left out ({'; '.join(bad[:3])}{' …' if len(bad) > 3 else ''})")
    if bad and not sections:
        raise LuthierError(notes[-1])
    return sections, notes


def _section(row: Any, number: int) -> Section:
    if not isinstance(row, dict):
        raise ValueError("no JSON object")
    field = next((name for name in TEXTS if isinstance(row.get(name), str)), None)
    strings = {k: v for k, v in row.items() if isinstance(v, str) and v.strip()}
    text = row[field] if field else "\n".join(strings.values())
    if not text.strip():
        raise ValueError("no text in it")
    title = row.get("title")
    rest = [(k, v) for k, v in row.items() if field and k not in (field, "title")]
    tags = [f"{k}={v}" for k, v in rest if isinstance(v, (str, int, float)) and len(str(v)) <= TAG]
    return Section(text, f"line {number}", title if isinstance(title, str) and field else "", tuple(tags))
