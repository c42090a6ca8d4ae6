"""The embedded pairs of answers: written one by one, the better one not to be told by its length."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from luthier.core.records import Preference
from luthier.data import embedded
from luthier.data.load import load_split
from luthier.io.config import DataConfig

SETS = {"desk": {"en": 240, "zh": 80}, "desk-test": {"en": 60, "zh": 20}}


def rows(name: str) -> list[dict[str, Any]]:
    found = embedded.find(name)
    assert found
    return [json.loads(line) for path in found.paths for line in path.read_text(encoding="utf-8").splitlines()]


ALL = [row for name in SETS for row in rows(name)]


@pytest.mark.parametrize("name", SETS)
def test_sizes_and_reasons(name: str) -> None:
    assert Counter(row["lang"] for row in rows(name)) == SETS[name]
    whys = Counter(row["why"] for row in rows(name))
    assert set(whys) == {"empathy", "correctness", "next step"} and max(whys.values()) - min(whys.values()) <= 3


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("name", SETS)
def test_the_longer_answer_is_the_better_one_half_the_time(name: str, lang: str) -> None:
    pairs = [(len(r["chosen"]), len(r["rejected"])) for r in rows(name) if r["lang"] == lang]
    assert 0.45 <= sum(a > b for a, b in pairs) / len(pairs) <= 0.55


@pytest.mark.parametrize("far", [0, 10, 20, 40, 80])
def test_length_alone_does_not_tell(far: int) -> None:
    """Nor does "the longer one, unless it is longer by more than so many characters"."""
    pairs = [(len(r["chosen"]), len(r["rejected"])) for r in ALL]
    right = sum((a > b) == (abs(a - b) > far) for a, b in pairs) / len(pairs)
    assert max(right, 1 - right) < 0.6


def test_no_text_twice() -> None:
    for part in ("prompt", "chosen", "rejected"):
        assert len({row[part] for row in ALL}) == len(ALL) == 400
    assert all(row["chosen"] != row["rejected"] and row["reason"] and row["topic"] for row in ALL)


def test_the_held_out_part_is_the_test_set() -> None:
    split, _ = load_split(DataConfig("desk"))
    assert split.task == "preference" and len(split.test) == 80
    asked = [r.messages[0].content for r in split.test if isinstance(r, Preference)]
    assert "无法登录账户应该怎么做?" in asked
    assert not set(asked) & {row["prompt"] for row in rows("desk")}
