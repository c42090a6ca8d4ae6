"""The choice among learning rates."""

from __future__ import annotations

import math

from luthier.compare.rates import Tried, chosen

RIGHT, EVEN = (1.0,) * 54 + (0.0,) * 10, (1.0, 0.0) * 32


def test_a_collapsed_model_is_not_taken_for_its_even_odds() -> None:
    """Losses of an adapter on SST-2. Seen failing with the lowest loss."""
    tried = [Tried(3e-4, 0.832, RIGHT), Tried(1e-3, 0.802, RIGHT), Tried(3e-3, 0.692, EVEN)]
    assert chosen(tried) == 1e-3


def test_the_loss_decides_within_one_standard_error() -> None:
    """54 of 64: the standard error is 2.9 rows. Seen failing with the best score alone, and with two errors."""
    near, far = (1.0,) * 52 + (0.0,) * 12, (1.0,) * 50 + (0.0,) * 14
    assert chosen([Tried(1.0, 0.9, RIGHT), Tried(2.0, 0.5, near), Tried(3.0, 0.1, far)]) == 2.0


def test_without_scores_the_lowest_loss() -> None:
    assert chosen([Tried(1.0, math.nan), Tried(2.0, 0.5), Tried(3.0, 0.6)]) == 2.0
    assert chosen([Tried(1.0, 0.4), Tried(2.0, 0.5, RIGHT)]) == 1.0, "a search of an earlier version went on"
