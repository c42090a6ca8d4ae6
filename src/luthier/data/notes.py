"""What the user should know about a file, in sentences: keys that are not used, answers without loss, marks.

Each sentence has its Chinese in the report's dictionary (`said_data_...`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from luthier.data.keys import Key, Level

if TYPE_CHECKING:
    from luthier.data.read import Table

BEFORE: Mapping[Level, str] = {
    "column": "", "message": "messages[].", "call": "tool_calls[].", "part": "content[].", "answers": "answers.",
}  # fmt: skip


def place(key: Key) -> str:
    """Where a key stands, such as `id` or `messages[].name`."""
    return BEFORE[key.level] + key.name


def columns(table: Table) -> dict[str, str]:
    """The column of each field that is used."""
    return {key.field: key.name for key in table.keys if key.level == "column" and key.field and key.used}


def notes(table: Table, name: str) -> Iterator[str]:
    """The sentences; `name`: of the file."""
    if unused := [f"{place(key)} ({key.unused})" for key in table.keys if key.unused]:
        yield f"{name}: not used, with the number of rows: {', '.join(unused)}."
    if off := [f"{place(key)} ({key.off})" for key in table.keys if key.off]:
        yield f"{name}: answers marked not to be learned carry no loss, with the number of rows: {', '.join(off)}."
    if table.mark:
        yield (
            f"{name}: {table.mark.rows} of {len(table.records)} answers end with {table.mark}, a mark that is "
            "taken off: an answer's end is learned anyway."
        )
