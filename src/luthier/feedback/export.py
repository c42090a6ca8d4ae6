"""Labels as rows of a file that training reads (JSON Lines): each annotator's own, or what the majority says."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.feedback.kinds import Kind, Row, Value, kind_of
from luthier.feedback.questions import Question
from luthier.feedback.store import Store
from luthier.io.files import write_text


@dataclass(frozen=True)
class Label:
    """What one annotator said of one question, in the question's own order."""

    question: int
    annotator: str
    machine: bool
    value: Value


@dataclass
class Counts:
    """What an export wrote. rows: by what they are; undecided: questions without a majority; skips: left out."""

    rows: Counter[str] = field(default_factory=Counter)
    labels: int = 0
    machine: int = 0
    annotators: int = 0
    skips: int = 0
    undecided: int = 0


def labels_of(store: Store) -> list[Label]:
    """All labels that stand, by question, without skips."""
    with store.reading() as db:
        return [
            Label(row["question"], row["name"], bool(row["machine"]), json.loads(row["value"])) for row in _rows(db, 0)
        ]


def export(folder: Path, out: Path, majority: bool = False, form: str = "") -> Counts:
    """Write the labels of a project; gives what was written. form: which rows; "" is what the project asked for.

    Raises LuthierError where there is no label, and for a form that such labels do not have.
    """
    store = Store(folder)
    try:
        kind = kind_of(store.settings.kind)
        make = _form(kind, form or kind.name)
        labels, questions = labels_of(store), store.questions()
        with store.reading() as db:
            skips = len(list(_rows(db, 1)))
    finally:
        store.close()
    if not labels:
        raise LuthierError(f"{folder} has no label yet: `luthier label serve {folder}` opens the page")
    counts = Counts(
        labels=len(labels), machine=sum(label.machine for label in labels),
        annotators=len({label.annotator for label in labels}), skips=skips,
    )  # fmt: skip
    found = _together(kind, labels, counts) if majority else _each(labels)
    rows = [
        {**row, **more} for number, value, more in found for row in make(questions[number], value)
    ]  # one label may be several rows
    for row in rows:
        counts.rows[_what(row)] += 1
    write_text(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return counts


def _rows(db: sqlite3.Connection, skipped: int) -> Iterator[Any]:
    return db.execute(
        "SELECT l.question, l.value, a.name, a.machine FROM labels l JOIN annotators a ON a.id = l.annotator"
        " WHERE l.withdrawn IS NULL AND l.skipped = ? ORDER BY l.question, l.id",
        (skipped,),
    )


def _form(kind: Kind, form: str) -> Callable[[Question, Value], list[Row]]:
    if form not in kind.forms:
        raise LuthierError(f"--kind {form}: labels of a {kind.name} project become {' or '.join(kind.forms)}")
    return kind.forms[form]


def _each(labels: Sequence[Label]) -> Iterator[tuple[int, Value, Row]]:
    for label in labels:
        machine = {"machine": True} if label.machine else {}
        yield label.question, label.value, {"annotator": label.annotator, **machine}


def _together(kind: Kind, labels: Sequence[Label], counts: Counts) -> Iterator[tuple[int, Value, Row]]:
    """One value a question: of people's labels where there are any, else of models'."""
    for number, group in groupby(labels, key=lambda label: label.question):
        every = list(group)
        people = [label for label in every if not label.machine]
        value = kind.together([label.value for label in people or every])
        if value is None:
            counts.undecided += 1
            continue
        yield number, value, {"annotators": len(people or every)} | ({} if people else {"machine": True})


def _what(row: Row) -> str:
    """What a row is, for the count."""
    if "chosen" in row:
        return "pairs"
    if row.get("verdict") == "neither":
        return "neither good"
    if "ranks" in row:
        return "ties" if len({*row["ranks"]}) == 1 else "rankings"
    return "ratings" if "scores" in row else "edits"
