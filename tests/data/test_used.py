"""What of a file is used, in one sentence that adds up, and limits that say why they give less."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase
from luthier.core.split import Used
from luthier.data.load import load_split
from luthier.data.used import said
from luthier.io.config import AlsoConfig, DataConfig


def write(path: Path, rows: int, word: str = "text", bad: int = 0) -> str:
    lines = [json.dumps({"text": f"{word} {i}", "label": "ab"[i % 2]}) for i in range(rows)]
    path.write_text("\n".join([*lines, *['{"text": ""}'] * bad]))
    return str(path)


def of(config: DataConfig) -> str:
    used = load_split(config)[0].used
    assert used
    return said(used)[0]


def test_rows_that_are_held_out(tmp_path: Path) -> None:
    """Seen failing with the rows of the parts counted before --limit."""
    path = write(tmp_path / "a.jsonl", 300)
    assert of(DataConfig(path)) == "300 of 300 rows; 180 train, 60 validate, 60 test"
    assert (
        of(DataConfig(path, limit=150)) == "150 of 300 rows; 90 train, 30 validate, 30 test; left out: 150 by --limit"
    )
    split, _ = load_split(DataConfig(path, limit=150, limit_test=10))
    assert split.used and said(split.used) == (
        "130 of 300 rows; 90 train, 30 validate, 10 test; left out: 150 by --limit, 20 by --limit-test",
        "300 行中使用 130 行：训练 90，验证 30，测试 10；未使用：--limit 之外 150 行，--limit-test 之外 20 行",
    )


def test_a_test_file_broken_rows_and_rows_in_both(tmp_path: Path) -> None:
    train, test = write(tmp_path / "a.jsonl", 100, bad=3), write(tmp_path / "b.jsonl", 40)
    config = DataConfig(train, test, skip_bad=True, limit=50, limit_test=30)
    split, _ = load_split(config)
    assert split.used and said(split.used) == (
        "50 of 103 rows; 40 train, 10 validate; 30 of 40 rows of the test file test; left out: 10 by --limit, "
        "10 by --limit-test, 3 that cannot be used, 40 that also stand in the test file",
        "103 行中使用 50 行：训练 40，验证 10；测试文件 40 行中使用 30 行；未使用：--limit 之外 10 行，"
        "--limit-test 之外 10 行，无法使用 3 行，也在测试文件中 40 行",
    )


def test_of_several_files_and_first_rows(tmp_path: Path) -> None:
    one, other = write(tmp_path / "a.jsonl", 40), write(tmp_path / "b.jsonl", 60, "other")
    assert of(DataConfig(one, also=(AlsoConfig(other),))) == "100 of 100 rows; 60 train, 20 validate, 20 test"
    few = of(DataConfig(one, train_rows=5))
    assert few == "21 of 40 rows; 5 train, 8 validate, 8 test; left out: 19 by data.train_rows"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    rows=st.integers(10, 60), tested=st.none() | st.integers(1, 40), limit=st.none() | st.integers(10, 80),
    limit_test=st.none() | st.integers(1, 80),
)  # fmt: skip
def test_it_adds_up(
    rows: int, tested: int | None, limit: int | None, limit_test: int | None, tmp_path_factory: Any
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    train = write(folder / "a.jsonl", rows, bad=2)
    test = write(folder / "b.jsonl", tested) if tested else None
    try:
        split, _ = load_split(DataConfig(train, test, skip_bad=True, limit=limit, limit_test=limit_test))
    except LuthierError:
        return
    used = split.used
    assert used and (used.train, used.validation, used.test) == tuple(
        map(len, (split.train, split.validation, split.test))
    )
    assert used.rows == rows + 2 and used.test_rows == tested
    taken = used.train + used.validation + used.test
    assert taken + sum(used.left.values()) == used.rows + (used.test_rows or 0)


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"limit": 100, "limit_test": 50},
         "--limit-test 50: the fifth that is held out has 20 rows: a test file, or a larger --limit, gives more."),
        ({"limit_test": 90},
         "--limit-test 90: the fifth that is held out has 60 rows: a test file, or more rows, gives more."),
        ({"limit": 5000}, "--limit 5,000: there are 300 rows to take."),
        ({"test": "b.jsonl", "limit_test": 90}, "--limit-test 90: the test file has 40 rows."),
    ],
)  # fmt: skip
def test_limits_that_give_less_say_why(
    options: dict[str, Any], note: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing without a word."""
    monkeypatch.chdir(tmp_path)
    write(Path("b.jsonl"), 40, "test")
    split, notes = load_split(DataConfig(write(Path("a.jsonl"), 300), **options))
    (said,) = [each for each in notes if each == note]
    assert isinstance(said, Phrase) and said.key.startswith("said_limit") and said.text("zh") != note
    assert len(split.test) < options.get("limit_test", 10**6)


def test_nothing_is_said_of_a_limit_that_holds(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", 300)
    assert load_split(DataConfig(path, limit=300, limit_test=60))[1] == []


def test_what_was_found_bad_is_left_out() -> None:
    used = Used(20, train=6, validation=2, test=2, left={"judged": 10})
    assert said(used)[0] == "10 of 20 rows; 6 train, 2 validate, 2 test; left out: 10 answers found bad"
