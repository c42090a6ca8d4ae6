"""The best answer that looks at no text, for every task."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from luthier.core.errors import LuthierError
from luthier.core.records import Chat, Labelled, Message, Rated, Sampling, Tagged
from luthier.core.split import Split
from luthier.direct.majority import Majority
from luthier.evals.constant import constant, load_constant
from luthier.evals.metrics.label_f1 import set_f1
from luthier.evals.task import evaluate
from luthier.training.context import Context


def labelled(*labels: str) -> tuple[Labelled, ...]:
    return tuple(Labelled(f"row {i}", label) for i, label in enumerate(labels))


def split(task: Any, rows: tuple[Any, ...], labels: tuple[str, ...] = ()) -> Split:
    return Split(task, rows, (), rows, labels)


def test_the_commonest_label_and_its_log_probabilities() -> None:
    """Ties go by name; a label without a training row keeps a chance (add one)."""
    data = split("classification", labelled("b", "a", "b", "a"), ("a", "b", "c"))
    found = constant(data)
    assert found and found.answer == "a" and found.output == "labels"
    row = found.predict(["x", "y"], ("c", "b", "a"))
    assert row.shape == (2, 3) and row[0].exp().tolist() == pytest.approx([1 / 7, 3 / 7, 3 / 7])
    more = constant(replace(data, train=labelled("b", "b", "a")))
    assert more and more.answer == "b"
    assert evaluate(more, replace(data, train=labelled("b", "b", "a")), data.test).per_row == [1.0, 0.0, 1.0, 0.0]


@settings(deadline=None)  # scores import their library
@given(st.lists(st.sets(st.sampled_from("abc"), max_size=3), min_size=1, max_size=8))
def test_no_prefix_of_the_labels_by_frequency_has_a_better_f1(tags: list[set[str]]) -> None:
    rows = tuple(Tagged(f"row {i}", tuple(sorted(found))) for i, found in enumerate(tags))
    data = split("multilabel", rows, ("a", "b", "c"))
    found = constant(data)
    assert found
    given_ = [label for label, p in zip("abc", found.predict(["x"], data.labels)[0], strict=True) if p > math.log(0.5)]
    assert ", ".join(given_) == found.answer
    mean = sum(set_f1(given_, r.tags) for r in rows) / len(rows)
    assert evaluate(found, data, rows).score == pytest.approx(mean)
    alone = [sum(set_f1(c, r.tags) for r in rows) / len(rows) for k in (0, 1, 3) for c in combinations("abc", k)]
    assert mean >= max(alone) - 1e-9, "none, each alone and all are among what it chooses from"


def test_a_number_is_the_median_and_has_no_row_of_its_own() -> None:
    data = split("regression", tuple(Rated(f"row {i}", v) for i, v in enumerate((1.0, 2.0, 9.0))))
    found = constant(data)
    assert found and found.answer == "2" and found.predict(["x", "y"], ()).tolist() == [[2.0], [2.0]]
    assert evaluate(found, data, data.test).score == pytest.approx(0.0)
    assert "regression" not in Majority.tasks


def chats(*answers: str) -> tuple[Chat, ...]:
    return tuple(Chat((Message("user", f"q{i}"), Message("assistant", a))) for i, a in enumerate(answers))


def test_a_text_where_a_tenth_of_the_rows_want_it() -> None:
    common = split("generation", chats("yes", "no", "yes", *map(str, range(15))))
    found = constant(common)
    assert found and found.answer == "yes" and found.generate(["a", "b"], Sampling()) == ["yes", "yes"]
    assert evaluate(found, replace(common, metric="exact_match"), common.train[:3]).per_row == [1.0, 0.0, 1.0]
    free = split("generation", chats("yes", "yes", *map(str, range(19))))
    assert constant(free) is None and constant(split("generation", chats("a"))) is None
    assert constant(split("text", labelled("a", "a"), ())) is None


@pytest.mark.parametrize("data", [tiny.LABELLED, split("generation", chats("yes", "yes", "no"))])
def test_what_is_saved_comes_back(data: Split, tmp_path: Path) -> None:
    found = constant(data)
    assert found
    found.save(tmp_path)
    assert load_constant(tmp_path) == found
    assert Majority().load(tmp_path, Context(None)) == found  # type: ignore[arg-type]
    with pytest.raises(LuthierError, match="no likelihood"):
        found.logprobs([("a", "b")])
