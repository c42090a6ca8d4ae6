"""Text files: a row is a paragraph, unless the file is a table whose name ends in .txt, as Excel saves them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from luthier.core.phrases import say
from luthier.data.source import Row, Source, check_mapped, decode
from luthier.data.tables import is_table, read_separated


def read_txt(path: Path, mapped: tuple[str, ...], encoding: str = "") -> Source:
    """Paragraphs are separated by blank lines; their column is `text`. A first line of known names heads a table."""
    found = decode(path, encoding)
    if is_table(found.text):
        found = replace(found, notes=(*found.notes, say("said_file_table")))
        return read_separated(path, found, mapped)
    rows: list[Row] = []
    held: list[str] = []
    for number, line in enumerate([*found.text.split("\n"), ""], 1):
        if line.strip():
            held.append(line.removesuffix("\r"))
        elif held:
            raw = "\n".join(held)
            reason = found.fault(raw)
            rows.append(Row(number - len(held), raw, reason, columns={} if reason else {"text": raw}))
            held = []
    check_mapped(path, mapped, ("text",))
    return Source(path, tuple(rows), ("text",), notes=found.notes)
