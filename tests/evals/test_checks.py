"""Rewards that can be checked."""

from __future__ import annotations

import pytest

from luthier.core.errors import LuthierError
from luthier.core.records import Asked, Chat, Message
from luthier.evals.checks import same_number
from luthier.runs.loaded import judge
from luthier.training.context import Meter


def row(answer: str) -> Chat:
    return Chat((Message("user", "q"), Message("assistant", answer)))


@pytest.mark.parametrize(
    ("answer", "wanted", "right"),
    [
        ("12 + 30 = 42", "42", 1),
        ("42.", "42", 1),
        ("It is 42, I think", "The answer is 42.", 1),
        ("41", "42", 0),
        ("", "42", 0),
        ("forty-two", "42", 0),
        ("-3", "−3", 1),
        ("1,000", "1000", 1),
        ("答案是 42。", "42", 1),
        ("4.20", "4.2", 1),
        ("42 or 43", "42", 0),
        ("5-7", "7", 1),
        ("1,2", "2", 1),
    ],
)
def test_the_last_number_counts(answer: str, wanted: str, right: float) -> None:
    assert same_number("q", answer, row(wanted)) == right


def test_a_row_without_a_number_is_said() -> None:
    with pytest.raises(LuthierError, match="has no number: 'none'"):
        same_number("q", "1", row("none"))
    with pytest.raises(LuthierError, match="has no number"):
        same_number("q", "1", Asked((Message("user", "q"),)))


def test_a_reward_may_name_it() -> None:
    reward = judge("luthier.evals.checks:same_number", Meter())
    assert reward.score(["q", "q"], ["7", "8"], [row("7"), row("7")]) == [1.0, 0.0]
