"""Intervals against scipy's bootstrap and the binomial by hand; pairing between methods; seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from luthier.evals import bootstrap
from luthier.evals.bootstrap import Bootstrap, Interval

RNG = np.random.default_rng(5)
ROWS = [float(x) for x in RNG.random(200) < 0.7]


def test_interval_is_scipys() -> None:
    values = RNG.gamma(2.0, 15.0, 120)
    found = Bootstrap({"a": [values.tolist()]}).score("a")
    theirs = scipy_stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=0)
    assert found.value == pytest.approx(values.mean())
    width = found.high - found.low
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.03 * width)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.03 * width)


def test_interval_of_an_accuracy_is_the_binomials() -> None:
    found = Bootstrap({"a": [ROWS]}).score("a")
    low, high = scipy_stats.binom(len(ROWS), found.value).ppf([0.025, 0.975]) / len(ROWS)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.0051)


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_identical_methods_differ_by_exactly_nothing(seeds: int) -> None:
    scores = (np.random.default_rng(seeds).random((seeds, 40)) < 0.5).astype(float).tolist()
    assert Bootstrap({"a": scores, "b": [[1.0] * 40], "c": scores}).difference("a", "c") == Interval(0.0, 0.0, 0.0)


def test_the_same_rows_are_drawn_for_both() -> None:
    """A constant lead on every row has no uncertainty, however much the rows differ."""
    rows = RNG.random(50) * 60
    found = Bootstrap({"a": [(rows + 7).tolist()], "b": [rows.tolist()]}).difference("a", "b")
    assert found.low == pytest.approx(7) and found.high == pytest.approx(7) and found.excludes_zero
    alone = Bootstrap({"a": [rows.tolist()]}).score("a")
    assert alone.high - alone.low > 5


def test_a_difference_is_mcnemars_by_hand() -> None:
    """30 rows only a gets right, 12 only b, the others both or neither: the paired standard error by hand."""
    a = [1.0] * 30 + [0.0] * 12 + [1.0] * 158
    b = [0.0] * 30 + [1.0] * 12 + [1.0] * 158
    found = Bootstrap({"a": [a], "b": [b]}).difference("a", "b")
    error = np.sqrt((30 + 12) / 200 - (18 / 200) ** 2) / np.sqrt(200)
    assert found.value == pytest.approx(18 / 200)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.05)


def test_seeds_are_resampled() -> None:
    """Seeds that disagree widen the interval to what the means of two drawn seeds are: 0, a half or 1."""
    seeds = Bootstrap({"a": [[0.0] * 30, [1.0] * 30]}).score("a")
    assert (seeds.value, seeds.low, seeds.high) == (0.5, 0.0, 1.0)
    agreed = Bootstrap({"a": [[0.5] * 30, [0.5] * 30]}).score("a")
    assert (agreed.low, agreed.high) == (0.5, 0.5)


def test_large_test_sets_are_drawn_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Bootstrap({"a": [ROWS, ROWS[::-1]]}).score("a")
    monkeypatch.setattr(bootstrap, "BLOCK", 1000)
    assert Bootstrap({"a": [ROWS, ROWS[::-1]]}).score("a") == whole


def test_methods_must_have_the_same_rows() -> None:
    with pytest.raises(ValueError, match="different numbers of rows"):
        Bootstrap({"a": [[1.0]], "b": [[1.0, 0.0]]})
    assert Bootstrap({}).means == {}


@pytest.mark.parametrize(
    ("low", "high", "sure"), [(0.1, 0.2, True), (-0.2, -0.1, True), (0.0, 0.2, False), (-1, 1, False)]
)
def test_excludes_zero(low: float, high: float, sure: bool) -> None:
    assert Interval(0.0, low, high).excludes_zero is sure
