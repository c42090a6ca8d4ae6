"""The database of a labelling project: one SQLite file, written by transactions that are on the disk when they end.

Write-ahead log and `synchronous=FULL`: readers never wait, writers one after the other (threads by a lock, processes by
SQLite's own), and what was committed survives a kill or a power cut. `user_version` is the version of the tables.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.feedback.questions import Question
from luthier.io.files import sync_folder

DATABASE = "labels.sqlite"
VERSION = 1
APPLICATION = 0x4C_55_4C_42  # tells our file from other SQLite files
PATIENCE = 15.0  # seconds that a writer waits for another process
TABLES = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE questions (
  id INTEGER PRIMARY KEY, prompt TEXT NOT NULL, answers TEXT NOT NULL, sources TEXT NOT NULL, shared INTEGER NOT NULL
);
CREATE TABLE annotators (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, name TEXT NOT NULL, machine INTEGER NOT NULL,
  session TEXT, seen REAL NOT NULL DEFAULT 0
);
CREATE TABLE assignments (
  question INTEGER NOT NULL REFERENCES questions, annotator INTEGER NOT NULL REFERENCES annotators,
  given REAL NOT NULL, PRIMARY KEY (question, annotator)
);
CREATE TABLE labels (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, question INTEGER NOT NULL REFERENCES questions,
  annotator INTEGER NOT NULL REFERENCES annotators, value TEXT NOT NULL, skipped INTEGER NOT NULL,
  shown TEXT NOT NULL, made REAL NOT NULL, withdrawn REAL
);
CREATE UNIQUE INDEX one_label ON labels (question, annotator) WHERE withdrawn IS NULL;
CREATE INDEX labels_of ON labels (annotator, id);
"""


class NotWritten(LuthierError):  # noqa: N818
    """Nothing was written: the disk is full or broken, or another process holds the database. Trying again is safe."""


@dataclass(frozen=True)
class Settings:
    """What holds for a whole project. overlap: share of the questions that every annotator gets.

    project: a random name, which tells its cookie from another project's. token: what the page's address holds. port:
    where the page was served last; 0: nowhere yet.
    """

    kind: str
    overlap: float
    seed: int
    project: str = ""
    token: str = ""
    port: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.overlap <= 1:
            raise LuthierError(f"--overlap {self.overlap}: it is a share of the questions, from 0 to 1")


class Store:
    """An open project. Raises LuthierError where the folder holds none, or one that this version cannot read."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / DATABASE
        if not self.path.is_file():
            raise LuthierError(f"{folder} holds no labelling project: `luthier label new` makes one")
        self._lock = threading.RLock()
        try:
            self._db = _connected(self.path)
            _check(self._db, self.path)
            self.settings = self._settings()
        except sqlite3.DatabaseError as error:
            raise LuthierError(f"{self.path} cannot be read: {error}: restore it from a backup") from None

    def close(self) -> None:
        """Give the file back; labels are safe without it."""
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction alone with the database; when it ends without an error, what it wrote is on the disk.

        Raises NotWritten where it could not be written; then none of it is.
        """
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except sqlite3.OperationalError as error:
                raise NotWritten(_why(error)) from error
            finally:
                if self._db.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._db.execute("ROLLBACK")

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of the database."""
        with self._lock:
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                self._db.execute("ROLLBACK")

    def set(self, **changes: Any) -> None:
        """Change settings."""
        with self.writing() as db:
            _write_settings(db, changes)
        self.settings = self._settings()

    def questions(self) -> dict[int, Question]:
        """All questions by number."""
        with self.reading() as db:
            return {row["id"]: question_of(row) for row in db.execute("SELECT * FROM questions ORDER BY id")}

    def _settings(self) -> Settings:
        found = {row["name"]: json.loads(row["value"]) for row in self._db.execute("SELECT * FROM settings")}
        return Settings(**found)


def create(folder: Path, settings: Settings, questions: Sequence[Question], shared: Sequence[bool]) -> None:
    """Write a new database, whole or not at all; only its owner can read it, since it holds the page's token."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{DATABASE}.{secrets.token_hex(4)}.tmp"
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        db = sqlite3.connect(temporary, isolation_level=None)
        with contextlib.closing(db):
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute(f"PRAGMA user_version = {VERSION}")
            db.executescript(f"BEGIN; {TABLES} COMMIT;")
            db.execute("BEGIN IMMEDIATE")
            made = {"project": secrets.token_hex(6), "token": secrets.token_urlsafe(24)}
            _write_settings(db, vars(settings) | made)
            rows = [(q.prompt, q.answers, q.sources) for q in questions]
            dumped = [tuple(json.dumps(part, ensure_ascii=False) for part in row) for row in rows]
            db.executemany(
                "INSERT INTO questions (prompt, answers, sources, shared) VALUES (?, ?, ?, ?)",
                [(*row, int(each)) for row, each in zip(dumped, shared, strict=True)],
            )
            db.execute("COMMIT")
            if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                raise LuthierError(f"{folder}: its file system cannot hold a write-ahead log: choose a local disk")
        temporary.replace(folder / DATABASE)
        sync_folder(folder)
    except sqlite3.OperationalError as error:
        raise NotWritten(_why(error)) from error
    finally:
        for left in folder.glob(f"{temporary.name}*"):
            left.unlink(missing_ok=True)


def question_of(row: sqlite3.Row) -> Question:
    """A question from its line in the table."""
    return Question(json.loads(row["prompt"]), tuple(json.loads(row["answers"])), tuple(json.loads(row["sources"])))


def _connected(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    for pragma in ("synchronous = FULL", "fullfsync = ON", "checkpoint_fullfsync = ON", "foreign_keys = ON"):
        db.execute(f"PRAGMA {pragma}")
    return db


def _check(db: sqlite3.Connection, path: Path) -> None:
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise LuthierError(f"{path} is no labelling project of Luthier's")
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found > VERSION:
        raise LuthierError(
            f"{path} was written by a later version of Luthier (its tables are of version {found}, "
            f"this one reads {VERSION}): update Luthier"
        )


def _write_settings(db: sqlite3.Connection, values: dict[str, Any]) -> None:
    rows = [(name, json.dumps(value)) for name, value in values.items()]
    db.executemany("INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", rows)


def _why(error: sqlite3.OperationalError) -> str:
    """What to tell a person about a write that failed."""
    code = (error.sqlite_errorcode or 0) & 0xFF  # the lower byte is the kind, the rest its details
    if code == sqlite3.SQLITE_FULL:
        return say("label_disk_full")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return say("label_busy")
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return say("label_disk_error", why=str(error))
    raise error
