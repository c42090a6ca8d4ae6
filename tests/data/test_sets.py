"""The embedded sets: how many rows, both languages, no two alike, fields that stand in the text, sources that exist."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from luthier.core.errors import LuthierError
from luthier.core.records import Chat, Preference
from luthier.data import embedded
from luthier.data.load import load_split
from luthier.data.overlap import twins
from luthier.data.split import same
from luthier.io.config import DataConfig

CHINESE = re.compile("[\u4e00-\u9fff]")
ROWS = {
    "mood": 300, "de-en": 200, "replies": 120, "handbook": 120, "notes": 60, "notes-fields": 60, "debug": 14,
    "desk": 320, "desk-test": 80, "desk-en": 240, "desk-en-test": 60, "desk-zh": 80, "desk-zh-test": 20,
    "arithmetic": 600,
}  # fmt: skip
PAIRED = {  # sets of preferences: the preferred one is longer
    "replies": "100%", "desk": "51%", "desk-test": "49%", "desk-en": "50%", "desk-en-test": "50%", "desk-zh": "51%",
    "desk-zh-test": "45%",
}  # fmt: skip


def rows(name: str) -> list[dict[str, Any]]:
    found = embedded.find(name)
    assert found
    return [json.loads(line) for path in found.paths for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_set_is_found_by_its_file() -> None:
    assert embedded.names()[0] == "tickets" and set(embedded.names()) == {"tickets", *ROWS}
    assert embedded.find("absent") is None and embedded.find("../embedded/mood") is None
    with pytest.raises(LuthierError, match="did you mean handbook, which is embedded"):
        load_split(DataConfig("hanbook"))


PREFERENCES = (
    "{}: {} rows have a preferred and a rejected answer: methods are compared by which of the "
    "two they find likelier; --metric chrF imitates the preferred ones. The preferred answer is the "
    "longer one in {} of them."
)


@pytest.mark.parametrize("name", ROWS)
def test_rows_are_read_and_split(name: str) -> None:
    split, notes = load_split(DataConfig(name))
    parts = (split.train, split.validation, split.test)
    found = embedded.find(name)
    held = ROWS[found.test] if found and found.test else 0
    assert sum(map(len, parts)) == len(rows(name)) + held == ROWS[name] + held
    told = [each for each in (name, found.test if found else "") if each in PAIRED]
    assert notes == [PREFERENCES.format(n, ROWS[n], PAIRED[n]) for n in told]
    assert min(map(len, parts)) >= ROWS[name] // 5


@pytest.mark.parametrize("name", ["mood", "replies", "handbook", "notes"])
def test_both_languages(name: str) -> None:
    counts = Counter(row["lang"] for row in rows(name))
    assert counts.keys() == {"en", "zh"} and min(counts.values()) >= 0.4 * ROWS[name]
    for row in rows(name):
        text = row.get("text") or row["question"]
        assert bool(CHINESE.search(text)) == (row["lang"] == "zh"), text


def test_mood_is_balanced() -> None:
    assert set(Counter((row["label"], row["lang"]) for row in rows("mood")).values()) == {50}
    assert load_split(DataConfig("mood"))[0].labels == ("negative", "neutral", "positive")


@pytest.mark.parametrize(
    ("name", "field"),
    [("mood", "text"), ("de-en", "de"), ("de-en", "en"), ("replies", "question"), ("replies", "empathetic"),
     ("handbook", "question"), ("notes", "text"), ("notes", "summary"),
     ("debug", "report"), ("debug", "fault")],
)  # fmt: skip
def test_no_near_duplicates(name: str, field: str) -> None:
    """Shared n-grams of 8 bytes, and of three words or three Chinese characters. Seen failing with a copied row."""
    texts = [row[field] for row in rows(name)]
    assert twins(texts) == [] and len({t.casefold() for t in texts}) == len(texts)
    sets = []
    for text in texts:
        units = re.findall(r"\w", text) if CHINESE.search(text) else re.findall(r"\w+", text.casefold())
        sets.append({tuple(units[i : i + 3]) for i in range(max(1, len(units) - 2))})
    alike = [(texts[i], texts[j]) for (i, a), (j, b) in combinations(enumerate(sets), 2) if len(a & b) > len(a | b) / 2]
    assert not alike


def test_translations_have_their_instruction_and_the_user_s_wins() -> None:
    found = embedded.find("de-en")
    assert found
    asked = found.table().records[0].asked
    assert isinstance(asked, tuple) and asked[0].content == "Translate German to English.\nIch liebe Pfannkuchen."
    split, _ = load_split(DataConfig("de-en", instruction="Auf Englisch:"))
    assert all(isinstance(r, Chat) and r.messages[0].content.startswith("Auf Englisch:\n") for r in split.train)


def test_replies_are_preferences_and_are_learned_as_chats() -> None:
    found = embedded.find("replies")
    assert found
    first, record = rows("replies")[0], found.table().records[0]
    assert isinstance(record, Preference)
    assert (record.chosen, record.rejected) == (first["empathetic"], first["blunt"])
    split, _ = load_split(DataConfig("replies"))
    assert split.task == "preference" and all(isinstance(r, Preference) for r in split.train)
    split, _ = load_split(DataConfig("replies", metric="chrF"))
    assert split.task == "generation"
    learned = {r.messages[0].content: r.wanted for r in split.train if isinstance(r, Chat)}
    assert len(learned) == len(split.train) and {r["question"]: r["empathetic"] for r in rows("replies")}.items() >= (
        learned.items()
    )


def test_notes_fields_stand_in_the_text() -> None:
    for row in rows("notes"):
        assert list(row["fields"]) == ["person", "date", "place", "amount"]
        assert all(value in row["text"] for value in row["fields"].values())
        assert len(row["summary"]) < len(row["text"]) / 2
    split, _ = load_split(DataConfig("notes-fields"))
    fields = [row["fields"] for row in rows("notes")]
    assert split.metric == "field_f1" and all(json.loads(r.wanted) in fields for r in split.train)
    summaries = load_split(DataConfig("notes"))[0]
    assert summaries.metric == "rougeL"
    assert {r.wanted for r in summaries.test} <= {row["summary"] for row in rows("notes")}


def test_handbook_sources_exist_and_answers_stand_in_them() -> None:
    split, _ = load_split(DataConfig("handbook"))
    documents = {d.source: d.text for d in split.documents}
    assert len(documents) == 40 and sum(bool(CHINESE.search(t)) for t in documents.values()) == 16
    assert split.metric == "token_f1" and {row["source"] for row in rows("handbook")} == documents.keys()
    inside = [row["answer"] in documents[row["source"]] for row in rows("handbook")]
    assert sum(inside) > len(inside) / 2  # the others are in the other language, or worded anew
    assert not any(same(r) in {" ".join(t.casefold().split()) for t in documents.values()} for r in split.train)


def test_the_page_about_data_names_every_set_and_format() -> None:
    from luthier.data.readers import by_ending

    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    for name in embedded.names():
        assert re.search(rf"\| `{name}` \|.*\| {len(rows(name))} \|", page), name
    assert all(f"`{extension}`" in page for extension in by_ending())
