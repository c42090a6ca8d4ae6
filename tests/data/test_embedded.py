"""The tickets: enough of them, in both languages, and no two alike."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations

import pytest

from luthier.core.records import Labelled
from luthier.data.embedded import EmbeddedSet, find, general_text, tickets
from luthier.data.split import make_split, same


def _tickets() -> EmbeddedSet:
    found = find("tickets")
    assert found
    return found


def rows(number: int) -> list[dict[str, str]]:
    return [json.loads(line) for line in _tickets().paths[number].read_text(encoding="utf-8").splitlines()]


def test_enough_rows_and_plain_labels() -> None:
    table = tickets()
    labels = Counter(record.label for record in table.records if isinstance(record, Labelled))
    assert len(table.records) >= 480 and len(labels) == 12 and not table.bad
    assert all(re.fullmatch(r"[a-z]+( [a-z]+){0,2}", label) for label in labels)
    assert max(labels.values()) <= 2 * min(labels.values())


def test_both_languages_for_every_label() -> None:
    counts = [Counter(row["label"] for row in rows(number)) for number in (0, 1)]
    assert counts[0].keys() == counts[1].keys()
    assert min(min(count.values()) for count in counts) >= 15
    assert {row["lang"] for row in rows(0)} == {"en"} and {row["lang"] for row in rows(1)} == {"zh"}
    assert not any(re.search("[\u4e00-\u9fff]", row["text"]) for row in rows(0))
    assert all(re.search("[\u4e00-\u9fff]", row["text"]) for row in rows(1))


def test_rows_come_in_turn() -> None:
    table = tickets()
    first = [record.text for record in table.records[:4] if isinstance(record, Labelled)]
    assert first == [rows(0)[0]["text"], rows(1)[0]["text"], rows(0)[1]["text"], rows(1)[1]["text"]]
    assert tickets() == table


def shingles(text: str, number: int) -> set[tuple[str, ...]]:
    """Three words in a row of English, three characters in a row of Chinese."""
    units = re.findall(r"\w+", text.casefold()) if number == 0 else re.findall(r"\w", text)
    return {tuple(units[i : i + 3]) for i in range(max(1, len(units) - 2))}


@pytest.mark.parametrize("number", [0, 1])
def test_no_near_duplicates(number: int) -> None:
    """Seen failing with one ticket copied under another order number."""
    texts = [row["text"] for row in rows(number)]
    sets = [shingles(text, number) for text in texts]
    alike = [
        (round(len(a & b) / len(a | b), 2), texts[i], texts[j])
        for (i, a), (j, b) in combinations(enumerate(sets), 2)
        if len(a & b) > 0.3 * len(a | b)
    ]
    assert not alike
    assert len({same(Labelled(text, "")) for text in texts}) == len(texts)


def test_the_split_keeps_every_label_everywhere() -> None:
    split, notes = make_split(tickets())
    assert not notes
    for part in (split.train, split.validation, split.test):
        assert {record.label for record in part if isinstance(record, Labelled)} == set(split.labels)
    assert len(split.test) >= 96


def test_general_text() -> None:
    text = general_text()
    assert len(text) > 2000 and text.endswith("\n") and "\n\n\n" not in text
    assert re.search("[\u4e00-\u9fff]{10}", text) and re.search("[a-z]{5} [a-z]+", text)
