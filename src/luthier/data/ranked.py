"""What can be learned of rows that people compared: ratings of one answer a row are brought together as rankings.

An answer that was rated more than once has the mean. What has no other answer to be compared with is left out, and so
is a comparison that tells nothing apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from luthier.core.records import Asked, Chat, Compared, Judged, Message, Ranking, Record, Scored
from luthier.data.making import Unused

if TYPE_CHECKING:
    from luthier.data.read import Table

ALONE = "the answer was rated, but no other one to the same prompt"
TIED = "all answers are equally good: none is preferred"
NONE = "there is no answer to the prompt"


def comparisons(table: Table) -> tuple[Table, list[Unused]]:
    """Pairs and rankings, and the rows that are none. A ranking of single ratings stands where the first one was."""
    kept: list[tuple[Record, int]] = []
    unused: list[Unused] = []
    rated: dict[tuple[Message, ...], list[tuple[Scored, int]]] = {}
    for record, line in zip(table.records, table.lines, strict=True):
        if isinstance(record, Scored):
            rated.setdefault(record.messages, []).append((record, line))
        elif isinstance(record, Asked):
            unused.append(Unused(line, NONE, "", "asked"))
        elif isinstance(record, Compared) and not record.pairs:
            unused.append(Unused(line, TIED, record.wanted, "ties"))
        else:
            kept.append((record, line))
    for messages, rows in rated.items():
        numbers: dict[str, list[float]] = {}
        for scored, _ in rows:
            numbers.setdefault(scored.answer.strip(), []).append(scored.number)
        found = Ranking(messages, tuple(numbers), tuple(map(fmean, numbers.values())))
        if found.pairs:
            kept.append((found, rows[0][1]))
            continue
        why = (ALONE, "alone") if len(numbers) == 1 else (TIED, "ties")
        unused += [Unused(line, why[0], scored.answer, why[1]) for scored, line in rows]
    return with_rows(table, sorted(kept, key=lambda row: row[1])), sorted(unused, key=lambda row: row.line)


def with_rows(table: Table, rows: Sequence[tuple[Record, int]]) -> Table:
    """The table with these records, each with its line."""
    return replace(table, records=tuple(record for record, _ in rows), lines=tuple(line for _, line in rows))


def thumbs(records: Sequence[Record]) -> bool:
    """Whether all rows are answers that were found good or bad, and both are there: preferences without pairs."""
    return {record.good if isinstance(record, Judged) else None for record in records} == {True, False}


def prompts_alone(records: Sequence[Record]) -> bool:
    """Whether nothing is known of what should be answered."""
    return bool(records) and all(isinstance(record, Asked) for record in records)


def imitated(records: Sequence[Record]) -> tuple[Record, ...]:
    """Comparisons as conversations that end with the best answer."""
    return tuple(Chat((*r.messages, Message("assistant", r.wanted))) if isinstance(r, Compared) else r for r in records)
