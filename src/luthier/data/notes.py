"""What the user should know about a file: keys that are not used, answers without loss, marks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from luthier.core.phrases import say
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
        yield say("said_data_unused", file=name, keys=", ".join(unused))
    if off := [f"{place(key)} ({key.off})" for key in table.keys if key.off]:
        yield say("said_data_off", file=name, keys=", ".join(off))
    if mark := table.mark:
        yield say("said_data_mark", file=name, rows=mark.rows, whole=len(table.records), mark=str(mark))
