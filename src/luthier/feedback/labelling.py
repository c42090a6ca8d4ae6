"""What annotators say: labels and skips kept, and taken back. Nothing is deleted; what is sent twice is kept once.

A label carries a key that whoever sends it has made up: the same key again is the same label, so a page may send until
it hears that the label is on the disk.
"""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.feedback.assigning import Annotator, give, shuffled
from luthier.feedback.kinds import Value, kind_of
from luthier.feedback.store import Settings

LONGEST_KEY = 64


class Refused(LuthierError):  # noqa: N818
    """A label that is not kept, for a reason that sending it again does not change; the message is a phrase."""


def label(db: sqlite3.Connection, settings: Settings, annotator: Annotator, question: int, key: str, said: Any) -> None:
    """Keep what an annotator's page sent, answers in the order that was shown; None is a skip.

    Raises Refused where the annotator has labelled the question already under another key, or took this label back.
    """
    if not key or len(key) > LONGEST_KEY:
        raise LuthierError(f"a label needs a key of 1 to {LONGEST_KEY} characters")
    before = db.execute("SELECT * FROM labels WHERE key = ?", (key,)).fetchone()
    if before is not None:
        if (before["question"], before["annotator"]) != (question, annotator.id):
            raise Refused(say("label_key_used"))
        if before["withdrawn"] is not None:
            raise Refused(say("label_withdrawn"))
        return
    row = db.execute("SELECT answers FROM questions WHERE id = ?", (question,)).fetchone()
    if row is None:
        raise Refused(say("label_no_question"))
    order = shuffled(settings.seed, annotator.key, question, len(json.loads(row["answers"])))
    keep(db, annotator, question, key, None if said is None else kind_of(settings.kind).read(said, order), order)


def keep(
    db: sqlite3.Connection, annotator: Annotator, question: int, key: str, value: Value | None, shown: list[int]
) -> None:
    """Keep a label in the question's own order. Raises Refused where there is one of this annotator's already."""
    values = (key, question, annotator.id, json.dumps(value, ensure_ascii=False), value is None, json.dumps(shown))
    try:
        db.execute(
            "INSERT INTO labels (key, question, annotator, value, skipped, shown, made) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*values, time.time()),
        )
    except sqlite3.IntegrityError:
        raise Refused(say("label_twice")) from None
    db.execute("DELETE FROM assignments WHERE question = ? AND annotator = ?", (question, annotator.id))


def undo(db: sqlite3.Connection, annotator: Annotator, key: str) -> None:
    """Take a label or a skip back: its question is open again. Taking it back twice is taking it back."""
    row = db.execute("SELECT * FROM labels WHERE key = ? AND annotator = ?", (key, annotator.id)).fetchone()
    if row is None:
        raise Refused(say("label_nothing_to_undo"))
    if row["withdrawn"] is None:
        db.execute("UPDATE labels SET withdrawn = ? WHERE id = ?", (time.time(), row["id"]))
        give(db, annotator, row["question"])


def again(db: sqlite3.Connection, annotator: Annotator) -> None:
    """Take all skips of an annotator back."""
    db.execute(
        "UPDATE labels SET withdrawn = ? WHERE annotator = ? AND skipped AND withdrawn IS NULL",
        (time.time(), annotator.id),
    )
