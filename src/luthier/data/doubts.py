"""Whether a mapping makes sense: labels that are texts, rows that contradict each other, labels that are not read.

What is doubtful is said in notes with the mapping that fits the content; what is hopeless stops a comparison or a
training, unless the user wants it all the same (`--anyway`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from luthier.core.command import option, with_map
from luthier.core.phrases import say
from luthier.core.records import Labelled, Rated, Tagged
from luthier.data.formats import load
from luthier.data.looks import Fit, fit
from luthier.data.notes import columns
from luthier.data.source import printable, quoted
from luthier.data.split import conflicting

if TYPE_CHECKING:
    from luthier.data.read import Table

ROWS = 20  # fewer prove nothing
MANY = 20  # labels, from which on their number may be doubted
UNIQUE = 0.9  # labels a row, from which on there is nothing to learn
DOUBTFUL = 0.2  # share of contradicting rows that is looked into
ANSWERS = frozenset({"label", "labels", "value", "output", "answer", "completion"})
_BESIDE = ("source", "split", "lang", "language", "domain", "dataset", "subset", "license", "origin", "url", "id")


def questioned(table: Table, mapped: Mapping[str, str], encoding: str = "") -> Table:
    """The table with notes on what is doubtful in how it is read, and `hopeless` where nothing can be learned from it.

    mapped, encoding: as the file was read.
    """
    if len(table.records) < ROWS:
        return table
    if table.task == "text":
        return replace(table, notes=(*table.notes, *_plain(table, mapped, encoding)))
    many = _many_labels(table)
    against = conflicting(table.records)
    share = against / len(table.records)
    if not many and share < DOUBTFUL:
        return table
    better = _better(table, mapped, encoding)
    name, rows = table.path.name, f"{len(table.records):,}"
    notes = [say("said_map_many", file=name, labels=f"{many:,}", rows=rows)] if many else []
    notes += [say("said_map_rather", file=name, command=better)] if better else []
    facts = [f"{many:,} different labels in {rows} rows"] if many and _unique(table) else []
    if share > _most(table):
        facts.append(f"{against:,} of {len(table.records):,} rows repeat an earlier row with another answer")
    return replace(table, notes=(*table.notes, *notes), hopeless=_hopeless(table, facts, better) if facts else "")


def _most(table: Table) -> float:
    """Share of contradicting rows beyond which there is nothing to learn: several persons may have rated a text, and
    conversations may have many answers."""
    first = table.records[0]
    return 0.5 if isinstance(first, Labelled | Tagged) else 0.9 if isinstance(first, Rated) else 1.0


def _counts(table: Table) -> Counter[str]:
    return Counter(record.label for record in table.records if isinstance(record, Labelled))


def _many_labels(table: Table) -> int:
    """How many labels there are, where that is as many as no task has; else 0."""
    count = len(_counts(table))
    return count if count > MANY and 4 * count > len(table.records) else 0


def _unique(table: Table) -> bool:
    return len(_counts(table)) >= UNIQUE * len(table.records)


def _better(table: Table, mapped: Mapping[str, str], encoding: str) -> str:
    """The command with the mapping that fits the content, where that takes another column for the answer."""
    best = _fit(table, mapped, encoding)
    used = {name for field, name in columns(table).items() if field in ANSWERS}
    if best is None or {name for name, field in best.columns.items() if field in ANSWERS} <= used:
        return ""
    return printable(with_map(table.path, best.columns, best.instruction))


def _fit(table: Table, mapped: Mapping[str, str], encoding: str) -> Fit | None:
    return fit(load(table.path, mapped, encoding))


def _hopeless(table: Table, facts: Sequence[str], better: str) -> str:
    """Why nothing can be learned from a file as it is read, and what to do."""
    read = ", ".join(f"{quoted([name])} as {field}" for field, name in columns(table).items())
    lines = [f"{table.path}, read with {read}: {' and '.join(facts)}."]
    lines += [f"By its content it is rather:\n  {better}"] if better else []
    return printable("\n".join([*lines, f"{option('--anyway', 'data.anyway=true')} takes it as it is"]))


def _plain(table: Table, mapped: Mapping[str, str], encoding: str) -> list[str]:
    """That a column beside plain text looks like its label."""
    beside = [key.name for key in table.keys if key.level == "column" and key.unused and key.name not in _BESIDE]
    best = _fit(table, mapped, encoding) if beside and not mapped else None
    label = next((name for name in best.columns if best.columns[name] == "label"), "") if best else ""
    if best is None or label not in beside:
        return []
    command = printable(with_map(table.path, best.columns))
    return [say("said_map_beside", file=table.path.name, column=quoted([label]), command=command)]
