"""Splitting tagged, rated and plain texts: strata of tags and values; and what supervised training uses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from luthier.core.errors import LuthierError
from luthier.core.records import (
    Asked,
    Chat,
    Judged,
    Message,
    Preference,
    Ranking,
    Rated,
    Record,
    Scored,
    Tagged,
    Task,
    Text,
)
from luthier.data.load import load_split
from luthier.data.read import Table
from luthier.data.split import make_split
from luthier.data.task import supervised
from luthier.io.config import DataConfig

ASK = (Message("user", "u"),)
AGAIN = (Message("user", "again"),)


def table(task: Task, records: Sequence[Record]) -> Table:
    return Table(task, tuple(records), tuple(range(1, len(records) + 1)), (), Path("mine.jsonl"))


def test_rare_tags_are_in_every_part() -> None:
    """Seen failing with the first tag of a row as its stratum."""
    records = [Tagged(f"text {i}", ("common", "rare") if i % 20 == 0 else ("common",)) for i in range(200)]
    records += [Tagged(f"none {i}", ()) for i in range(20)]
    split, notes = make_split(table("multilabel", records))
    assert split.labels == ("common", "rare") and split.task == "multilabel" and not notes
    counts = [[sum(tag in r.tags for r in part if isinstance(r, Tagged)) for tag in split.labels]
              for part in (split.train, split.validation, split.test)]  # fmt: skip
    assert counts == [[120, 6], [40, 2], [40, 2]]
    limited, _ = make_split(table("multilabel", records), limit=66)
    rows = [*limited.train, *limited.validation, *limited.test]
    assert sum("rare" in r.tags for r in rows if isinstance(r, Tagged)) == 3 and len(rows) == 66


def test_every_row_another_set_of_tags_still_fills_every_part() -> None:
    records = [Tagged(f"text {i}", tuple(f"t{j}" for j in range(8) if i >> j & 1)) for i in range(256)]
    split, _ = make_split(table("multilabel", records))
    assert [len(p) for p in (split.train, split.validation, split.test)] == pytest.approx([154, 51, 51], abs=3)


def test_values_are_spread_over_every_part() -> None:
    split, notes = make_split(table("regression", [Rated(f"text {i}", i / 7) for i in range(100)]))
    assert split.labels == () and split.task == "regression" and not notes
    for part in (split.train, split.validation, split.test):
        fifths = [int(r.value * 7 // 20) for r in part if isinstance(r, Rated)]
        assert [fifths.count(i) for i in range(5)] == [len(part) // 5] * 5


def test_what_the_user_should_know() -> None:
    records: list[Record] = [Tagged(f"text {i}", ("a",)) for i in range(30)]
    records += [Tagged("text 1", ("b",)), Tagged("other", ("single",))]
    _, notes = make_split(table("multilabel", records), table("multilabel", [Tagged("x", ("new", "a"))]))
    assert notes[1:] == [
        "1 of 32 rows of mine.jsonl repeats an earlier row with another answer.",
        '1 test rows have labels that no training row has ("new"): no method can get them right.',
        '2 labels have one training row only: "b", "single".',
    ]
    rated = [Rated(f"text {i}", float(i)) for i in range(30)]
    assert (
        "1 of 31 rows of mine.jsonl repeats an earlier row with another answer."
        in make_split(table("regression", [*rated, Rated("text 1", 9)]))[1]
    )
    with pytest.raises(LuthierError, match="all training rows have the value 3"):
        make_split(table("regression", [Rated(f"text {i}", 3) for i in range(30)]))
    with pytest.raises(LuthierError, match="no training row has a label"):
        make_split(table("multilabel", [Tagged(f"text {i}", ()) for i in range(30)]))


def test_texts_are_split_by_what_they_say() -> None:
    records = [Text(f"paragraph {i % 40}", "a.txt") for i in range(50)]
    split, notes = make_split(table("text", records))
    parts = [{r.wanted for r in part} for part in (split.train, split.validation, split.test)]
    assert sum(map(len, parts)) == 40 and not parts[0] & parts[1] and not parts[0] & parts[2] and len(notes) == 1


def test_only_good_answers_are_imitated() -> None:
    records: list[Record] = [
        Preference(ASK, "good", "bad"),
        Judged(ASK, "bad", False),
        Judged(ASK, "fine", True),
        Text("t"),
    ]
    found, unused = supervised(table("generation", records[1:]), imitate=True)
    assert found.records == (Chat((*ASK, Message("assistant", "fine"))), Text("t")) and found.lines == (2, 3)
    assert [(b.line, b.reason[:24], b.why) for b in unused] == [(1, "the answer was found bad", "judged")]
    pairs, _ = supervised(table("preference", records[:1]), imitate=True)
    assert pairs.records == (Chat((*ASK, Message("assistant", "good"))),) and pairs.task == "generation"


def test_thumbs_of_both_kinds_are_preferences() -> None:
    both = table("generation", [Judged(ASK, "bad", False), Judged(ASK, "fine", True)])
    found, unused = supervised(both)
    assert found.task == "preference" and found.records == both.records and not unused
    good = supervised(table("generation", [Judged(ASK, "fine", True), Judged(ASK, "well", True)]))[0]
    assert good.task == "generation" and all(isinstance(r, Chat) for r in good.records), "one kind alone is imitated"
    mixed = supervised(table("generation", [*both.records, Chat((*ASK, Message("assistant", "so")))]))[0]
    assert mixed.task == "generation" and len(mixed.records) == 2, "answers without a verdict are imitated, too"


def test_ratings_are_brought_together() -> None:
    other = (Message("user", "other"),)
    records: list[Record] = [
        Scored(ASK, "a", 2), Scored(other, "alone", 5), Scored(ASK, "b ", 4), Scored(ASK, "a", 3),
        Preference(other, "c", "d"), Ranking(ASK, ("e", "f"), (1, 1)), Asked(ASK), Scored(AGAIN, "g", 1),
        Scored(AGAIN, "h", 1),
    ]  # fmt: skip
    found, unused = supervised(table("preference", records))
    assert found.records == (Ranking(ASK, ("a", "b"), (2.5, 4)), Preference(other, "c", "d")) and found.lines == (1, 5)
    assert [(row.line, row.why) for row in unused] == [
        (2, "alone"),
        (6, "ties"),
        (7, "asked"),
        (8, "ties"),
        (9, "ties"),
    ]
    assert Ranking(ASK, ("a", "b", "c"), (1, 3, 1)).pairs == ((1, 0), (1, 2))


def test_judged_rows_through_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = "".join(f"q{i},a{i},{i % 3 > 0}\n" for i in range(30))
    path.write_text("prompt,completion,label\n" + rows, encoding="utf-8")
    split, notes = load_split(DataConfig(str(path)))
    assert split.task == "preference" and "20 answers were found good and 10 bad" in notes[0] and "kto" in notes[0]
    assert sum(len(part) for part in (split.train, split.validation, split.test)) == 30
    split, notes = load_split(DataConfig(str(path), metric="chrF"))
    assert (
        notes[0] == f"10 of 30 rows of {path} are answers that were found bad: learning by imitation leaves them out."
    )
    learned = {r.wanted for part in (split.train, split.validation, split.test) for r in part}
    assert learned == {f"a{i}" for i in range(30) if i % 3} and split.task == "generation"
    path.write_text("prompt,completion,label\nq,a,no\n", encoding="utf-8")
    with pytest.raises(LuthierError, match="all 1 answers were found bad"):
        load_split(DataConfig(str(path)))
