"""Who works on a project, and which question each gets: an open one belongs to one annotator at a time.

Every function runs within a transaction of `Store.writing`, so that two who ask at once get two questions. A question
that somebody has open goes to somebody else only when its holder has not been seen for `LEASE` seconds.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
import unicodedata
from dataclasses import dataclass
from typing import Any

from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.feedback.kinds import kind_of
from luthier.feedback.store import Settings, question_of

LEASE = 600.0
AWAKE = 90.0  # seconds since the last sign of a browser within which it counts as open
LONGEST_NAME = 60
_MINE = "SELECT 1 FROM labels l WHERE l.question = q.id AND l.annotator = :me AND l.withdrawn IS NULL"
_OPEN = f"""
FROM questions q WHERE NOT EXISTS ({_MINE}) AND (q.shared OR (
  NOT EXISTS (
    SELECT 1 FROM labels l JOIN annotators a ON a.id = l.annotator
    WHERE l.question = q.id AND l.withdrawn IS NULL AND NOT l.skipped AND NOT a.machine
  ) AND NOT EXISTS (
    SELECT 1 FROM assignments s JOIN annotators a ON a.id = s.annotator
    WHERE s.question = q.id AND s.annotator <> :me AND a.seen > :fresh
  )
))"""


class NameTaken(LuthierError):  # noqa: N818
    """Somebody is known by the name that was given; the message is a phrase that says what may be done."""


class TakenOver(LuthierError):  # noqa: N818
    """Another browser works under this name now."""


@dataclass(frozen=True)
class Annotator:
    """Who labels. key: the name as names are compared, which decides the order in which answers are shown."""

    id: int
    key: str
    name: str
    machine: bool = False


def enter(db: sqlite3.Connection, name: str, session: str = "", take_over: bool = False) -> tuple[Annotator, str]:
    """The annotator of that name, and the session by which a browser is known as theirs.

    session: that of this browser, where it has worked under the name before. Raises NameTaken where the name is
    another browser's, unless it is taken over, and LuthierError for what is no name.
    """
    name, key = _name(name)
    row = db.execute("SELECT * FROM annotators WHERE key = ?", (key,)).fetchone()
    if row is not None and row["machine"]:
        raise NameTaken(say("label_name_machine", name=row["name"]))
    mine = row is not None and session and secrets.compare_digest(session.encode(), str(row["session"]).encode())
    if row is not None and not mine and not take_over:
        awake = row["session"] is not None and time.time() - row["seen"] < AWAKE
        count = db.execute(
            "SELECT count(*) FROM labels WHERE annotator = ? AND withdrawn IS NULL", (row["id"],)
        ).fetchone()
        raise NameTaken(say("label_name_awake" if awake else "label_name_known", name=row["name"], count=count[0]))
    session = session if mine else secrets.token_urlsafe(18)
    db.execute(
        "INSERT INTO annotators (key, name, machine, session, seen) VALUES (?, ?, 0, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET session = excluded.session, seen = excluded.seen",
        (key, name, session, time.time()),
    )
    return of_session(db, session), session


def machine(db: sqlite3.Connection, name: str) -> Annotator:
    """The annotator that a judging model is. Raises LuthierError where a person has that name."""
    name, key = _name(name)
    db.execute("INSERT OR IGNORE INTO annotators (key, name, machine) VALUES (?, ?, 1)", (key, name))
    row = db.execute("SELECT * FROM annotators WHERE key = ?", (key,)).fetchone()
    if not row["machine"]:
        raise LuthierError(f"--name {name}: a person labels under this name: choose another")
    return Annotator(row["id"], row["key"], row["name"], machine=True)


def of_session(db: sqlite3.Connection, session: str) -> Annotator:
    """The annotator whose browser this is, who is seen now. Raises TakenOver where another one has the name."""
    row = db.execute("SELECT * FROM annotators WHERE session = ?", (session,)).fetchone() if session else None
    if row is None:
        raise TakenOver(say("label_taken_over"))
    db.execute("UPDATE annotators SET seen = ? WHERE id = ?", (time.time(), row["id"]))
    return Annotator(row["id"], row["key"], row["name"])


def state(db: sqlite3.Connection, annotator: Annotator, settings: Settings) -> dict[str, Any]:
    """What the page shows: the question that the annotator has open, given now if there is none, and the progress."""
    found = _given(db, annotator)
    mine = db.execute(
        "SELECT count(*) - coalesce(sum(skipped), 0) AS done, coalesce(sum(skipped), 0) AS skipped FROM labels"
        " WHERE annotator = ? AND withdrawn IS NULL",
        (annotator.id,),
    ).fetchone()
    last = db.execute(
        "SELECT key FROM labels WHERE annotator = ? AND withdrawn IS NULL ORDER BY id DESC LIMIT 1", (annotator.id,)
    ).fetchone()
    left = db.execute(f"SELECT count(*) {_OPEN}", _values(annotator)).fetchone()[0]
    return {
        "name": annotator.name, "kind": settings.kind, "done": mine["done"], "skipped": mine["skipped"], "left": left,
        "last": last["key"] if last else None,
        "question": None if found is None else _shown(db, found, annotator, settings),
    }  # fmt: skip


def shuffled(seed: int, annotator: str, question: int, count: int) -> list[int]:
    """The order in which an annotator sees a question's answers: the same today and by any version."""
    digests = [hashlib.sha256(f"{seed}|{annotator}|{question}|{i}".encode()).digest() for i in range(count)]
    return sorted(range(count), key=digests.__getitem__)


def _given(db: sqlite3.Connection, annotator: Annotator) -> sqlite3.Row | None:
    """The question that the annotator has open: the one given last, else the first that is free."""
    values = _values(annotator)
    held: sqlite3.Row | None = db.execute(
        f"SELECT q.* FROM assignments s JOIN questions q ON q.id = s.question WHERE s.annotator = :me"
        f" AND NOT EXISTS ({_MINE}) ORDER BY s.given DESC LIMIT 1",
        values,
    ).fetchone()
    if held is not None:
        return held
    free: sqlite3.Row | None = db.execute(f"SELECT q.* {_OPEN} ORDER BY q.id LIMIT 1", values).fetchone()
    if free is not None:
        if not free["shared"]:  # whoever held it has gone, and gets another one
            db.execute("DELETE FROM assignments WHERE question = ?", (free["id"],))
        give(db, annotator, free["id"])
    return free


def give(db: sqlite3.Connection, annotator: Annotator, question: int) -> None:
    """Note that the annotator has a question open."""
    db.execute("INSERT OR REPLACE INTO assignments VALUES (?, ?, ?)", (question, annotator.id, time.time()))


def _shown(db: sqlite3.Connection, row: sqlite3.Row, annotator: Annotator, settings: Settings) -> dict[str, Any]:
    """A question without its sources, its answers in the annotator's order. before: what they took back."""
    question = question_of(row)
    order = shuffled(settings.seed, annotator.key, row["id"], len(question.answers))
    withdrawn = db.execute(
        "SELECT value FROM labels WHERE question = ? AND annotator = ? AND NOT skipped ORDER BY id DESC LIMIT 1",
        (row["id"], annotator.id),
    ).fetchone()
    before = None if withdrawn is None else kind_of(settings.kind).shown(json.loads(withdrawn["value"]), order)
    turns = [{"role": message.role, "text": message.said} for message in question.messages]
    return {
        "id": row["id"], "turns": turns, "answers": [question.answers[i] for i in order], "before": before,
    }  # fmt: skip


def _values(annotator: Annotator) -> dict[str, Any]:
    return {"me": annotator.id, "fresh": time.time() - LEASE}


def _name(name: str) -> tuple[str, str]:
    """A name as it is shown and as names are compared. Raises LuthierError."""
    shown = " ".join(unicodedata.normalize("NFC", name).split())
    if not shown or len(shown) > LONGEST_NAME or not all(char.isprintable() for char in shown):
        raise LuthierError(say("label_no_name", longest=LONGEST_NAME))
    return shown, unicodedata.normalize("NFKC", shown).casefold()
