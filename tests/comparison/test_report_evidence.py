"""What the rows show: each figure against a library or counted by hand, samples fair and bounded, rows kept whole."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import confusion_matrix

import tiny
from evidence_sample import HOSTILE, LABELS, sample_rows, sample_runs
from luthier.comparison import per_row as ev
from luthier.comparison.rows import TestRow, read_languages, read_rows, record_rows, to_row
from luthier.core.records import Chat, Labelled, Message, Preference, Rated, Tagged
from luthier.core.split import Split
from luthier.data.letters import has_han
from luthier.evals.bootstrap import wilson


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 12), (8, 10), (12, 12), (77, 300)])
def test_wilson_is_scipys(right: int, n: int) -> None:
    """Seen failing with the normal interval (Wald), which has no width at 0 and 1."""
    want = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    found = wilson(right / n, n)
    assert (found.low, found.high) == pytest.approx((want.low, want.high), abs=1e-6)


def test_bootstrap_is_the_normal_interval_for_many_rows() -> None:
    values = np.random.default_rng(1).normal(50, 20, 400)
    low, high = ev.bootstrap(values)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.15 * half)
    assert ev.bootstrap(np.array([3.0])) == (3.0, 3.0)


def test_confusion_is_sklearns_over_all_seeds() -> None:
    """Seen failing with the lines and columns exchanged."""
    rows = sample_rows()
    runs = sample_runs(rows)
    found = ev.evidence(rows, runs, "lora")
    assert found
    labels = found["confusion"]["labels"]
    assert labels == sorted(LABELS) and not found["confusion"]["rest"]
    wanted = [row.wanted for row in rows] * 2
    for method, own in runs.items():
        answers = [a for run in own for a in run["answers"]]
        want = confusion_matrix(wanted, answers, labels=labels)
        assert found["confusion"]["counts"][method] == want.tolist()
        assert found["confusion"]["right"][method] == want.trace()


def test_rare_labels_share_a_line() -> None:
    rows = [TestRow(f"{i}", f"label {i % 30:02d}", (f"label {i % 30:02d}",)) for i in range(95)]
    answers = ["label 00"] * 95
    answers[29] = "a label that no row wants"  # of the 30th label, which is rare
    run = {
        "per_row": [float(a == r.wanted) for a, r in zip(answers, rows, strict=True)],
        "answers": answers,
        "score": 0,
    }
    found = ev.evidence(rows, {"m": [run]}, "m")
    assert found
    table = found["confusion"]
    assert table["rest"] and table["all"] == 31 and len(table["labels"]) == ev.CONFUSED
    assert {"label 00", "label 01", "label 04"} <= set(table["labels"])  # the five with four rows
    assert np.sum(table["counts"]["m"]) == 95 and table["right"]["m"] == 4
    assert table["counts"]["m"][-1][-1] == 1  # one rare label was taken for another


def test_groups_are_counted_by_hand() -> None:
    rows = sample_rows()
    runs = sample_runs(rows)
    found = ev.evidence(rows, runs, "lora")
    assert found and [g["name"] for g in found["by_language"]] == ["han", "no_han"]
    for group in found["by_label"]:
        inside = [i for i, row in enumerate(rows) if row.wanted == group["name"]]
        assert group["rows"] == len(inside)
        for method, cell in group["cells"].items():
            hits = [run["per_row"][i] for run in runs[method] for i in inside]
            assert cell[0] == pytest.approx(sum(hits) / len(hits))
            own = wilson(cell[0], len(inside))
            assert cell[1:] == pytest.approx((own.low, own.high))
    assert sum(g["rows"] for g in found["by_label"]) == sum(g["rows"] for g in found["by_language"]) == 60


def test_disagreement_is_counted_by_hand() -> None:
    rows = sample_rows()
    runs = sample_runs(rows)
    found = ev.evidence(rows, runs, "lora")
    assert found and found["methods"][0] == "lora"
    answers = {m: own[0]["answers"] for m, own in runs.items()}
    right = {m: own[0]["per_row"] for m, own in runs.items()}
    n = range(len(rows))
    assert found["totals"] == {
        "disagree": sum(len({a[i] for a in answers.values()}) > 1 for i in n),
        "best": sum(right["lora"][i] == 0 for i in n),
        "none": sum(all(r[i] == 0 for r in right.values()) for i in n),
    }
    names = found["pairs"]["methods"]
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            same = sum(answers[a][k] == answers[b][k] for k in n) / len(rows)
            assert found["pairs"]["same"][i][j] == pytest.approx(same)
            assert found["pairs"]["ahead"][i][j] == sum(right[a][k] > right[b][k] for k in n)
    for sample in found["samples"]:
        at = sample["row"] - 1
        assert ("best" in sample["is"]) == (right["lora"][at] == 0)
        assert ("disagree" in sample["is"]) == (len({a[at] for a in answers.values()}) > 1)


def test_scores_that_are_not_right_or_wrong() -> None:
    rows = [TestRow("hallo", "hello"), TestRow("Welt", "world"), TestRow("你好", "hello")]
    runs = {"a": [{"per_row": [100.0, 20.0, 50.0], "answers": ["hello", "word", "hi"], "score": 56.7}],
            "b": [{"per_row": [100.0, 40.0, 0.0], "answers": ["hello ", "worlds", ""], "score": 46.7}]}  # fmt: skip
    found = ev.evidence(rows, runs, "a")
    assert found and not found["binary"] and found["confusion"] is None and found["by_label"] == []
    assert found["totals"] == {"disagree": 2, "best": 1, "none": 0}  # white space is no disagreement
    assert [s["is"] for s in found["samples"]] == [[], ["disagree", "best"], ["disagree"]]
    assert found["by_language"][1]["cells"]["a"][0] == 60.0


def test_what_does_not_fit_is_left_out() -> None:
    rows = sample_rows()
    runs = sample_runs(rows)
    assert ev.evidence([], runs, "lora") is None and ev.evidence(rows[:-1], runs, "lora") is None
    del runs["lora"][1]["answers"]
    found = ev.evidence(rows, runs, "lora")
    assert found and "lora" not in found["methods"] and found["best"] is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=40, max_size=160), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_a_sample_is_fair(kinds: list[tuple[str, bool]], size: int) -> None:
    """Each label and language has its share, to a row. Seen failing with the first `size` rows taken."""
    rows = [TestRow(f"{'的' if han else 'x'} {i}", label, (label,)) for i, (label, han) in enumerate(kinds)]
    chosen = ev.fair_sample(rows, size)
    assert chosen == sorted(set(chosen)) and len(chosen) == min(size, len(rows))
    found, share = Counter(kinds[i] for i in chosen), len(chosen) / len(rows)
    for kind, n in Counter(kinds).items():
        assert abs(found[kind] - n * share) < 1 + 1e-9


@given(st.text(max_size=900), st.integers(30, 400))
def test_a_shortened_text_keeps_its_ends(text: str, longest: int) -> None:
    short = ev.shorten(text, longest)
    assert len(short) <= longest + 5
    if len(text) <= longest:
        assert short == text
    else:
        head, _, tail = short.partition(" […] ")
        assert text.startswith(head) and text.endswith(tail)


def test_size_is_bounded() -> None:
    n, methods = 4000, 12
    rows = [TestRow("问题" * 1500 + str(i), "answer " * 300) for i in range(n)]
    run = {"per_row": [1.0] * n, "answers": ["word " * 400] * n, "score": 1.0}
    found = ev.evidence(rows, {f"m{k}": [run] for k in range(methods)}, "m0")
    assert found and found["rows"] == n and 50 < len(found["samples"]) <= ev.SAMPLES
    assert len(json.dumps(found, ensure_ascii=False)) < 1.3 * ev.TEXT_BUDGET


# -- rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "han"),
    [("hello", False), ("退款", True), ("refund 退", True), ("カタカナ", False), ("漢字かな", True), ("𠀀", True),
     ("々", True), ("", False), ("，。！", False), ("한국어", False)],
)  # fmt: skip
def test_language_is_told_by_script(text: str, han: bool) -> None:
    assert has_han(text) is han


def test_rows_of_every_kind() -> None:
    user = (Message("user", "who?"),)
    turns = (Message("system", "be brief"), *user, Message("assistant", "me"))
    assert to_row(Labelled("t", "l")) == TestRow("t", "l", ("l",))
    assert to_row(Tagged("t", ("a", "b"))) == TestRow("t", "a, b", ("a", "b"))
    assert to_row(Rated("t", 2.5)) == TestRow("t", "2.5")
    assert to_row(Chat((*user, Message("assistant", "me")))) == TestRow("who?", "me")
    assert to_row(Chat(turns)) == TestRow("system: be brief\nuser: who?", "me")
    assert to_row(Preference(user, "good", "bad")) == TestRow("who?", "good")


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.text(min_size=1)), max_size=8))
@settings(max_examples=40, deadline=None)
def test_rows_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]) -> None:
    """Seen failing on U+2028 with lines parted by splitlines()."""
    folder = tmp_path_factory.mktemp("rows")
    pairs = [*pairs, *((text, "label") for text in HOSTILE)]
    test = tuple(Labelled(text, label.encode("utf-8", "replace").decode()) for text, label in pairs)
    record_rows(folder, replace(tiny.LABELLED, test=test))
    assert read_rows(folder) == [to_row(record) for record in test]


def test_rows_are_recorded_once(tmp_path: Path) -> None:
    assert read_rows(tmp_path) == [] and read_languages(tmp_path) == {}
    record_rows(tmp_path, tiny.LABELLED)
    assert read_languages(tmp_path)["train"] == {"han": 1, "other": 7}
    record_rows(tmp_path, Split("classification", (), (), ()))
    assert len(read_rows(tmp_path)) == 2
