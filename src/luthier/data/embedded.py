"""The data inside the package: customer-service tickets in English and Chinese, and a page of general text.

All of it was written one by one for this project. The tickets are the demonstration task (message -> what it is
about); the general text is what forgetting is measured on.
"""

from __future__ import annotations

from itertools import chain, zip_longest
from pathlib import Path

from luthier.data.read import Table, read, report_bad

_FOLDER = Path(__file__).parent / "embedded"
TICKETS: tuple[Path, ...] = (_FOLDER / "tickets_en.jsonl", _FOLDER / "tickets_zh.jsonl")
GENERAL: tuple[Path, ...] = (_FOLDER / "general_en.txt", _FOLDER / "general_zh.txt")


def tickets() -> Table:
    """Both files as one table, their rows in turn; `path` is their folder, `lines` count within each file."""
    tables = [read(path) for path in TICKETS]
    for table in tables:
        report_bad(table, skip_bad=False, rejected=None)
    turns = zip_longest(*(zip(table.records, table.lines, strict=True) for table in tables))
    rows = [row for row in chain.from_iterable(turns) if row is not None]
    return Table("classification", tuple(r for r, _ in rows), tuple(line for _, line in rows), (), _FOLDER)


def general_text() -> str:
    """The English and the Chinese page, one after the other."""
    return "\n\n".join(path.read_text(encoding="utf-8").strip() for path in GENERAL) + "\n"
