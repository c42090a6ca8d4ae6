"""The database: writers at once, keys, undo, what is refused, a full disk."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from labelling import SOURCE, asked, new_key, project, stands
from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase
from luthier.feedback import assigning, labelling
from luthier.feedback.assigning import NameTaken, TakenOver
from luthier.feedback.labelling import Refused
from luthier.feedback.store import DATABASE, VERSION, NotWritten, Settings, Store, create

WORKER = """
import sys
from pathlib import Path
from luthier.feedback import assigning, labelling
from luthier.feedback.store import Store

store, name = Store(Path(sys.argv[1])), sys.argv[2]
with store.writing() as db:
    annotator, _ = assigning.enter(db, name)
while True:
    with store.writing() as db:
        state = assigning.state(db, annotator, store.settings)
    if state["question"] is None:
        break
    with store.writing() as db:
        number = state["question"]["id"]
        labelling.label(db, store.settings, annotator, number, f"{name}-{number}", "left")
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(project(tmp_path / "p", 4))


def entered(store: Store, name: str) -> assigning.Annotator:
    with store.writing() as db:
        return assigning.enter(db, name)[0]


def work(store: Store, annotator: assigning.Annotator) -> None:
    """Label until nothing is left."""
    while True:
        with store.writing() as db:
            question = assigning.state(db, annotator, store.settings)["question"]
        if question is None:
            return
        with store.writing() as db:
            labelling.label(db, store.settings, annotator, question["id"], new_key(), "tie")


def once_each(folder: Path, questions: int, shared: int, annotators: int) -> None:
    """Every shared question has a label of each annotator, every other one of exactly one."""
    found = [(row["question"], row["name"]) for row in stands(folder)]
    assert len(found) == len({*found}) == shared * annotators + questions - shared
    assert {number for number, _ in found} == set(range(1, questions + 1))


def test_threads_at_once(tmp_path: Path) -> None:
    """Six annotators, one store. Seen failing without the lock."""
    folder = project(tmp_path / "p", 60, shared=range(1, 61, 5))
    store = Store(folder)
    people = [entered(store, f"person {n}") for n in range(6)]
    threads = [threading.Thread(target=work, args=(store, each)) for each in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    once_each(folder, 60, 12, 6)


def test_processes_at_once(tmp_path: Path) -> None:
    """Three processes, each with a store of its own. Seen failing with `BEGIN` in place of `BEGIN IMMEDIATE`."""
    folder = project(tmp_path / "p", 60, shared=range(1, 61, 5))
    command = [sys.executable, "-c", WORKER, str(folder)]
    workers = [
        subprocess.Popen([*command, f"n{n}"], env={"PYTHONPATH": str(SOURCE)}, stderr=subprocess.PIPE, text=True)
        for n in range(3)
    ]
    for worker in workers:
        _, error = worker.communicate(timeout=120)
        assert worker.returncode == 0, error
    once_each(folder, 60, 12, 3)


def test_two_get_two_questions(store: Store) -> None:
    """Nobody gets what another has open, until the other has long gone. Seen failing without the lease."""
    anna, bert = entered(store, "Anna"), entered(store, "Bert")
    with store.writing() as db:
        first = assigning.state(db, anna, store.settings)["question"]["id"]
        second = assigning.state(db, bert, store.settings)["question"]["id"]
        assert first != second and assigning.state(db, anna, store.settings)["question"]["id"] == first
        labelling.label(db, store.settings, bert, second, new_key(), "left")
        db.execute("UPDATE annotators SET seen = seen - ? WHERE name = 'Anna'", (assigning.LEASE + 1,))
        assert assigning.state(db, bert, store.settings)["question"]["id"] == first
        again = assigning.state(db, anna, store.settings)["question"]["id"]
    assert again not in (first, second)
    store.close()


def test_the_same_key_is_the_same_label(store: Store) -> None:
    """Sent twice, kept once; a key of another's label, and a second label of one question, are refused."""
    anna, bert = entered(store, "Anna"), entered(store, "Bert")
    with store.writing() as db:
        labelling.label(db, store.settings, anna, 1, "k", "left")
        labelling.label(db, store.settings, anna, 1, "k", "left")
        for annotator, question, key, why in (
            (bert, 1, "k", "label_key_used"),
            (anna, 2, "k", "label_key_used"),
            (anna, 1, "other", "label_twice"),
            (anna, 99, "z", "label_no_question"),
        ):
            with pytest.raises(Refused) as raised:  # fmt: skip
                labelling.label(db, store.settings, annotator, question, key, "left")
            (phrase,) = raised.value.args
            assert isinstance(phrase, Phrase) and phrase.key == why
        for key in ("", "x" * 65):
            with pytest.raises(LuthierError, match="needs a key"):
                labelling.label(db, store.settings, anna, 2, key, "left")
    store.close()
    assert len(stands(store.folder)) == 1


def test_undo_keeps_what_was_said(store: Store) -> None:
    """A label taken back stays in the file, its question comes again, and its key is used up."""
    anna = entered(store, "Anna")
    with store.writing() as db:
        labelling.label(db, store.settings, anna, 1, "first", "left")
        labelling.label(db, store.settings, anna, 2, "second", None)
        for _ in range(2):
            labelling.undo(db, anna, "second")
        labelling.undo(db, anna, "first")
        state = assigning.state(db, anna, store.settings)
        assert state["question"]["id"] == 1 and state["question"]["before"] == "left" and state["last"] is None
        with pytest.raises(Refused):
            labelling.label(db, store.settings, anna, 1, "first", "left")
        with pytest.raises(Refused):
            labelling.undo(db, anna, "never")
        labelling.label(db, store.settings, anna, 1, "third", "neither")
        kept = [tuple(row) for row in db.execute("SELECT key, withdrawn IS NULL FROM labels ORDER BY id")]
    store.close()
    assert kept == [("first", 0), ("second", 0), ("third", 1)]


def test_a_skipped_question_goes_to_another(store: Store) -> None:
    anna, bert = entered(store, "Anna"), entered(store, "Bert")
    with store.writing() as db:
        labelling.label(db, store.settings, anna, 1, "s", None)
        state = assigning.state(db, anna, store.settings)
        assert (state["done"], state["skipped"], state["left"], state["question"]["id"]) == (0, 1, 3, 2)
        assert assigning.state(db, bert, store.settings)["question"]["id"] == 1
        labelling.again(db, anna)
        assert assigning.state(db, anna, store.settings)["skipped"] == 0
    store.close()


@pytest.mark.parametrize("other", ["Anna", "  anna ", "ＡＮＮＡ"])
def test_the_name_of_another(store: Store, other: str) -> None:
    """Is told, and goes on by taking over, after which the first browser is out."""
    with store.writing() as db:
        anna, session = assigning.enter(db, "Anna")
        labelling.label(db, store.settings, anna, 1, "k", "left")
        assert assigning.enter(db, other, session) == (anna, session)
        with pytest.raises(NameTaken, match=r"another browser at this moment .labels so far: 1"):
            assigning.enter(db, other, "not the session")
        db.execute("UPDATE annotators SET seen = 0")
        with pytest.raises(NameTaken, match=r"called Anna already .labels so far: 1"):
            assigning.enter(db, other)
        taken, second = assigning.enter(db, other, take_over=True)
        assert taken == anna and second != session
        with pytest.raises(TakenOver):
            assigning.of_session(db, session)
        assert assigning.of_session(db, second) == anna
        assigning.machine(db, "judge x")
        with pytest.raises(NameTaken, match="judging model"):
            assigning.enter(db, "Judge X", take_over=True)
        with pytest.raises(LuthierError, match="a person labels"):
            assigning.machine(db, "anna")
    store.close()


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\x07b", "a\u202eb"])
def test_what_is_no_name(store: Store, name: str) -> None:
    with pytest.raises(LuthierError, match="1 to 60"), store.writing() as db:
        assigning.enter(db, name)
    store.close()


def test_the_order_of_answers_is_a_persons_own() -> None:
    """Known values, so that no version changes what was shown; both orders, and each permutation, come."""
    assert assigning.shuffled(0, "anna", 1, 4) == [1, 2, 3, 0]
    orders = [assigning.shuffled(3, "anna", n, 2) for n in range(2000)]
    assert 900 < orders.count([0, 1]) < 1100
    assert len({tuple(assigning.shuffled(3, "anna", n, 3)) for n in range(100)}) == 6
    assert [assigning.shuffled(3, "bert", n, 2) for n in range(2000)] != orders


def test_a_later_version_is_refused(store: Store) -> None:
    store.close()
    db = sqlite3.connect(store.path)
    db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    with pytest.raises(LuthierError, match=rf"later version of Luthier \(its tables are of version {VERSION + 1}"):
        Store(store.folder)


@pytest.mark.parametrize(("data", "said"), [(None, "holds no labelling"), (b"?" * 5000, "cannot be read"),
                                            (b"", "no labelling project of")])  # fmt: skip
def test_what_is_no_project(tmp_path: Path, data: bytes | None, said: str) -> None:
    if data is not None:
        (tmp_path / DATABASE).write_bytes(data)
    with pytest.raises(LuthierError, match=said):
        Store(tmp_path)


def test_the_file_is_its_owners(store: Store) -> None:
    """It holds the token of the page."""
    assert store.path.stat().st_mode & 0o077 == 0
    mode = store._db.execute("PRAGMA journal_mode").fetchone()[0], store._db.execute("PRAGMA synchronous").fetchone()[0]
    store.close()
    assert mode == ("wal", 2)


def test_a_full_disk_loses_nothing_that_was_kept(store: Store) -> None:
    """SQLite's own limit on pages says what a full disk says; with room again, the same label is kept."""
    anna = entered(store, "Anna")
    with store.writing() as db:
        labelling.label(db, store.settings, anna, 1, "kept", "left")
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    long = Settings("edit", 0, 0)
    value = {"better": 0, "edited": "x" * 50_000}
    for _ in range(2):
        with pytest.raises(NotWritten, match="disk is full") as raised, store.writing() as db:
            labelling.label(db, long, anna, 2, "full", value)
        assert raised.value.args[0].text("zh").startswith("服务器的磁盘已满")
    assert [row["key"] for row in stands(store.folder)] == ["kept"]
    store._db.execute("PRAGMA max_page_count = 1000000")
    with store.writing() as db:
        labelling.label(db, long, anna, 2, "full", value)
    store.close()
    assert [row["key"] for row in stands(store.folder)] == ["kept", "full"]


def test_a_project_is_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        create(tmp_path, Settings("pair", 0, 0), [asked(1)], [False])
    assert list(tmp_path.iterdir()) == []
