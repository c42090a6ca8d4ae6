"""Macro-F1 and balanced accuracy: as scikit-learn has them, as means over rows, and drawn again by brute force."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score

import tiny
from luthier.core import metric
from luthier.core.split import Split
from luthier.evals.bootstrap import Bootstrap
from luthier.evals.constant import constant
from luthier.evals.metrics import macro_f1
from luthier.evals.metrics.accuracy import balanced
from luthier.evals.resampled import bootstrap
from luthier.evals.task import evaluate

LABELS = ("common", "rare", "third", "never")


class Scripted:
    """Says what it was told to say."""

    can = frozenset({"predict"})

    def __init__(self, said: Sequence[str]) -> None:
        self.said = said

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> torch.Tensor:
        return torch.tensor([[float(a == b) for b in labels] for a in self.said])


def answers(rng: np.random.Generator, n: int = 120) -> tuple[list[str], list[str], list[str]]:
    """Wanted labels, most of them one, and what two methods said."""
    wanted = rng.choice(LABELS[:3], n, p=[0.75, 0.15, 0.1])
    said = [np.where(rng.random(n) < right, wanted, rng.choice(LABELS, n)) for right in (0.8, 0.6)]
    return [str(w) for w in wanted], *([str(a) for a in each] for each in said)  # type: ignore[return-value]


def f1(wanted: Any, said: Any) -> float:
    return float(f1_score(wanted, said, average="macro", zero_division=0))


def kept(wanted: list[str], said: list[str]) -> dict[str, Any]:
    return {"per_row": macro_f1.shares(wanted, said), "codes": macro_f1.coded(wanted, said)}


@pytest.mark.parametrize("name", ["macro_f1", "balanced_accuracy"])
def test_they_decide_where_they_are_named(name: str) -> None:
    wanted, said, _ = answers(np.random.default_rng(0))
    rows = tiny.labelled(*((str(i), w) for i, w in enumerate(wanted)))
    data = Split("classification", rows, rows, rows, LABELS, metric=name)
    scores = evaluate(Scripted(said), data, rows)  # type: ignore[arg-type]
    theirs = {"macro_f1": f1(wanted, said), "accuracy": np.mean(np.array(wanted) == np.array(said))}
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        theirs["balanced_accuracy"] = balanced_accuracy_score(wanted, said)
    assert scores.metric == name and scores.answers == said
    assert {**scores.secondary, name: scores.score} == pytest.approx(theirs)
    assert (scores.codes is None) == (name == "balanced_accuracy")
    floor = constant(data)
    assert floor is not None and evaluate(floor, data, rows).score < 0.5, "always the commonest label is no good"


def test_a_row_that_named_no_label_is_wrong_and_no_label_of_its_own() -> None:
    wanted, said = ["a", "a", "b"], ["a", "", "b"]
    assert macro_f1.coded(wanted, said) == [[0, 0], [0, -1], [1, 1]]
    assert np.mean(macro_f1.shares(wanted, said)) == pytest.approx((2 / 3 + 1) / 2)


def test_macro_f1_of_drawn_rows_is_counted_anew() -> None:
    """Seen failing with the mean of what each row had added, and with a label that no drawn row wants counted as 0."""
    rng = np.random.default_rng(1)
    wanted, said, _ = answers(rng, 40)
    drawn = rng.integers(40, size=(200, 40))
    counts = np.stack([np.bincount(d, minlength=40) for d in drawn])
    found = macro_f1.METRIC.resampled(macro_f1.coded(wanted, said), counts / 40)
    brute = [f1(np.array(wanted)[d], np.array(said)[d]) for d in drawn]
    assert found == pytest.approx(np.array(brute))
    even = macro_f1.METRIC.resampled(macro_f1.coded(wanted, said), np.full((1, 40), 1 / 40))
    assert even[0] == pytest.approx(np.mean(macro_f1.shares(wanted, said))) == pytest.approx(f1(wanted, said))


def test_a_board_by_macro_f1_has_the_intervals_of_brute_force() -> None:
    rng = np.random.default_rng(2)
    wanted, one, two = answers(rng, 150)
    runs = {"one": [kept(wanted, one)], "two": [kept(wanted, two)]}
    boot = bootstrap(runs, "macro_f1")
    a, b, w = np.array(one), np.array(two), np.array(wanted)
    apart = [f1(w[d], a[d]) - f1(w[d], b[d]) for d in rng.integers(150, size=(1500, 150))]
    value, spread = f1(wanted, one) - f1(wanted, two), float(np.std(apart))
    found = boot.difference("one", "two")
    assert found.value == pytest.approx(value)
    assert float(np.std(boot.means["one"] - boot.means["two"])) == pytest.approx(spread, rel=0.06)
    assert found.low == pytest.approx(value - 1.96 * spread, abs=0.25 * spread)
    fixed = Bootstrap({name: [run["per_row"] for run in found] for name, found in runs.items()})
    assert fixed.value("one") == pytest.approx(boot.value("one")), "the mean of the rows is the score all the same"
    assert bootstrap({"one": [{"per_row": [1.0, 0.0]}]}, "macro_f1").value("one") == 0.5, "results without codes"


def test_balanced_accuracy_with_fixed_weights_has_nearly_the_intervals_of_recounting() -> None:
    """Rows are drawn, weights are not: standard errors within a tenth of those of counting every label anew."""
    rng = np.random.default_rng(3)
    wanted, one, two = answers(rng, 300)
    boot = Bootstrap({"one": [balanced(wanted, one)], "two": [balanced(wanted, two)]})
    w = np.array(wanted)

    def recalls(said: list[str], d: Any) -> float:
        hit = (np.array(said) == w)[d]
        return float(np.mean([hit[w[d] == label].mean() for label in np.unique(w[d])]))

    drawn = rng.integers(300, size=(1500, 300))
    apart = [recalls(one, d) - recalls(two, d) for d in drawn]
    assert boot.value("one") == pytest.approx(recalls(one, np.arange(300)))
    assert float(np.std(boot.means["one"] - boot.means["two"])) == pytest.approx(float(np.std(apart)), rel=0.1)


def test_only_what_is_no_mean_is_counted_anew() -> None:
    assert [name for name in metric.names() if metric.statistic(name)] == ["macro_f1"]
    assert [name for name in metric.names() if metric.weighted(name)] == ["balanced_accuracy", "macro_f1"]
    assert metric.statistic("somebody's own") is None and not metric.weighted("somebody's own")
