"""Rows of test sets in documents: found by brute force as well, cut, dropped and quoted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pa = pytest.importorskip("pyarrow")
pytest.importorskip("numba")
from luthier.core.errors import LuthierError  # noqa: E402
from luthier.corpus import documents, test_sets  # noqa: E402
from luthier.corpus.keys import outcome_key  # noqa: E402
from luthier.corpus.passages import Held, Sought  # noqa: E402
from luthier.corpus.recipe import stage_of  # noqa: E402
from luthier.corpus.stage import Known  # noqa: E402
from luthier.corpus.texts import Texts  # noqa: E402
from running import run  # noqa: E402
from stories import jsonl, story  # noqa: E402

EN = "The ferry that crossed at dawn carried two horses, a clock without hands and nobody who could say why it rang."
ZH = "磨坊主在冬天修好了水轮，可是河水在春天之前就结了冰，所以谁也没有听见它转动。"
WORDS = ["a", "B", "c,", "d", "好", "河", "，", "e-f"]


def held(*texts: str, **options: int) -> Held:
    return Held([Sought(f"row {at}", text) for at, text in enumerate(texts, 1)], **options)


def cut(text: str) -> list[str]:
    """Words as brute force sees them."""
    words, hashes = Texts(pa.array([text])).bare
    found = [text[a:b].lower() for a, b in zip(words.starts.tolist(), words.ends.tolist(), strict=True)]
    assert len(hashes) == len(found)
    return found


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=12), st.lists(st.sampled_from(WORDS), max_size=40), st.integers(2, 5))
def test_passages_are_those_of_brute_force(row: list[str], text: list[str], n: int) -> None:
    """The same words as deduplication compares by; every run of n words of the row, a shorter row as a whole."""
    sought, there = cut(" ".join(row)), cut(" ".join(text))
    size = min(n, len(sought))
    covered = set()
    if size >= min(3, n):
        runs = [sought[at : at + size] for at in range(len(sought) - size + 1)]
        for at in range(len(there) - size + 1):
            if there[at : at + size] in runs:
                covered |= set(range(at, at + size))
    found = list(held(" ".join(row), n=n, least=3).find(["nothing", " ".join(text)]))
    words = [word for one in found for word in cut(" ".join(text)[one.start : one.end])]
    assert words == [there[at] for at in sorted(covered)] and all(one.text == 1 for one in found)


@pytest.mark.parametrize("row", [EN, ZH])
def test_a_row_is_found_however_it_stands(row: str) -> None:
    sought = held(row, "short")
    assert sought.short == 1
    other = story(1)
    ways = [
        row,
        f"{other} {row} {other}",
        row.upper(),
        row.replace(" ", "\n  "),
        row.replace(",", "").replace("，", ""),
    ]
    for way in ways:
        (one,) = sought.find([other, way, other])
        assert (one.text, one.sought) == (1, 0) and cut(way[one.start : one.end]) == cut(row)
    assert not list(sought.find([row[: len(row) // 3], row[len(row) // 3 :][:9], other]))  # never from two texts


def test_what_many_rows_share_is_wording() -> None:
    ask = "Answer the question below in one sentence and say nothing that the text does not say:"
    rows = [f"{ask} {story(at, 1)}" for at in range(30)]
    sought = held(*rows)
    assert not list(sought.find([f"{ask} who was it"])) and len(list(sought.find([story(3, 1)]))) == 1


def test_cut_and_dropped_and_quoted(tmp_path: Path) -> None:
    """Every plant: alone, in the middle of a page, with other white space, Chinese; what is left reads on."""
    tests = tmp_path / "test.tsv"
    tests.write_text(f"{EN}\t1\n{ZH}\t0\nshort one\t1\n", "utf-8")
    texts = [EN, f"{story(1)}\n\nHe wrote: {EN}  It was late.\n\n{story(2)}", f"开头在这里。{ZH}后面还有。", story(3)]
    source = jsonl(tmp_path / "a.jsonl", [*texts, "  ".join(EN.split())])
    told = run(tmp_path / "cut", [source], {"decontaminate": {"against": [str(tests)]}})["decontaminate"]
    assert (told["in"], told["dropped"], told["changed"]) == (5, 2, {"contaminated": 2})
    (kept,) = [documents.read(path) for path in (tmp_path / "cut" / "kept").glob("*.parquet")]
    assert kept["text"].to_pylist() == [f"{story(1)}\n\nIt was late.\n\n{story(2)}", "开头在这里。后面还有。", story(3)]
    (found,) = [documents.read(path).to_pylist() for path in (tmp_path / "cut" / "found").glob("*.parquet")]
    assert [row["what"] for row in found] == ["test.tsv, line 1"] * 2 + ["test.tsv, line 2", "test.tsv, line 1"]
    assert [cut(row["quote"]) for row in found] == [cut(EN), cut(EN), cut(ZH), cut(EN)]
    told = run(tmp_path / "drop", [source], {"decontaminate": {"against": [str(tests)], "do": "drop"}})["decontaminate"]
    assert (told["kept"], told["reasons"], told["changed"]) == (1, {"contaminated": 4}, {})


def test_rows_that_stand_one_after_another_are_each_found() -> None:
    rows = [story(at, 1) for at in range(10)]
    found = list(held(*rows).find([" ".join(rows)]))
    assert [one.sought for one in found] == list(range(10))


def test_a_row_that_is_there_six_times_is_no_wording(tmp_path: Path) -> None:
    assert len(list(held(*[EN] * 6).find([EN]))) == 1
    assert held(*(f"{EN}{'!' * n}" for n in range(8))).empty  # eight texts of the same words


def test_test_sets_by_name(tmp_path: Path) -> None:
    """A set inside the package, a comparison's rows, a list in one line, pairs with their turns, a text."""
    assert any("£84" in one.text for one in test_sets.rows("tickets"))
    compared = tmp_path / "runs"
    compared.mkdir()
    (compared / "test_rows.jsonl").write_text(json.dumps({"asked": EN, "wanted": "yes", "labels": []}) + "\n", "utf-8")
    (compared / "other.jsonl").write_text("{}", "utf-8")
    assert [one.text for one in test_sets.rows(str(compared))] == [EN, "yes"]
    pairs = [{"conversations": [{"from": "human", "value": EN}], "chosen": {"value": ZH}}, {"prompt": "p", "n": 3}]
    (tmp_path / "pairs.json").write_text(json.dumps(pairs, ensure_ascii=False), "utf-8")
    found = list(test_sets.rows(str(tmp_path / "pairs.json")))
    assert Sought("pairs.json, row 1", ZH) in found and Sought("pairs.json, row 2", "p") in found
    (tmp_path / "text.txt").write_text(EN, "utf-8")
    assert list(test_sets.rows(str(tmp_path / "text.txt"))) == [Sought("text.txt", EN)]


@pytest.mark.parametrize(("against", "said"), [
    ([], "name at least one test set"), (["nowhere"], "nowhere: no file, no folder, and none of the sets tickets"),
])  # fmt: skip
def test_what_is_no_test_set_is_said(against: list[str], said: str) -> None:
    with pytest.raises(LuthierError, match=said):
        stage_of({"decontaminate": {"against": against}})


def test_what_holds_nothing_to_seek_is_said_and_a_changed_set_is_read_anew(tmp_path: Path) -> None:
    tests = tmp_path / "t.jsonl"
    tests.write_text(json.dumps({"text": "short"}), "utf-8")
    table: Any = documents.table_of([{"id": "1", "text": EN}])
    stage = stage_of({"decontaminate": {"against": [str(tests)]}})
    with pytest.raises(LuthierError, match=r"t\.jsonl: none of its 1 texts has 8 words"):
        stage.apply(table, Known())
    before = outcome_key("x", stage)
    tests.write_text(json.dumps({"text": EN}), "utf-8")
    assert stage.apply(table, Known()).dropped.num_rows == 1 and outcome_key("x", stage) != before


def test_a_test_set_that_is_the_corpus_leaves_nothing(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "a.jsonl", [story(at) for at in range(4)])
    told = run(tmp_path / "out", [source], {"decontaminate": {"against": [str(source)]}})["decontaminate"]
    assert (told["kept"], told["dropped"]) == (0, 4)
    stage = stage_of({"decontaminate": {"against": [str(source)]}})
    assert stage.said(told) == ("4 of 4 documents hold test rows: is the test set part of the corpus itself?",)
    assert not stage.said({**told, "dropped": 1, "changed": {"contaminated": 1}})
