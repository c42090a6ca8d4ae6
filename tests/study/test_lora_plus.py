"""Time to equal quality: crossings by hand, paired intervals, one width and two."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from luthier.study.reaching import crossing, times
from luthier.study.studies.lora_plus import _claims, _sentence, reference
from luthier.study.study import Arm, OnModel

SHARES = np.array([0.0, 0.5, 1.0])


def test_crossings_by_hand() -> None:
    """Seen failing with the look after the crossing taken for the crossing."""
    curves = np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0], [3.0, 2.5, 2.0], [1.0, 2.0, 2.0]])
    found = crossing(SHARES, curves, np.array([1.5, 1.5, 1.5, 1.5]))
    assert found.tolist() == pytest.approx([0.75, 0.375, math.inf, 0.0])


def made(curves: dict[str, list[float]], rows: int = 30) -> OnModel:
    """Runs whose rows differ by luck that all arms share."""
    luck = np.random.default_rng(0).normal(size=rows)
    runs = {
        name: [
            {"looks": [[i, s, (v + 0.3 * luck).tolist()] for i, (s, v) in enumerate(zip(SHARES, curve, strict=True))]}
        ]
        for name, curve in curves.items()
    }
    return OnModel("m", 8, [Arm(n) for n in curves], runs, {}, 100)


def test_time_is_held_against_plain_lora() -> None:
    """Twice as fast is half the time; luck that both share makes no interval. Seen failing with rows drawn apart."""
    found, _ = times(made({"one": [3.0, 2.0, 1.0], "two": [3.0, 1.0, 0.5], "never": [3.0, 2.9, 2.8]}), "one")
    assert (found["one"].value, found["one"].low, found["one"].high) == pytest.approx((1, 1, 1))
    assert (found["two"].value, found["two"].low, found["two"].high) == pytest.approx((0.5, 0.5, 0.5))
    assert math.isinf(found["never"].value)


def test_no_time_where_plain_lora_does_not_learn() -> None:
    """Seen failing without the check: times were divided by zero."""
    on = made({"ratio 1": [1.0, 2.0, 2.0], "ratio 16": [1.0, 0.5, 0.5]})
    assert times(on, "ratio 1") == ({}, {})


def test_the_reference_is_plain_lora_at_its_better_rate() -> None:
    """Seen failing with the first plain arm taken."""
    on = made({"LoRA": [3.0, 2.0, 1.5], "LoRA rate 4x": [3.0, 1.5, 1.0], "ratio 16": [3.0, 1.0, 0.5]})
    for arm in on.arms:
        object.__setattr__(arm, "facts", {"plain": arm.name.startswith("LoRA")})
    assert reference(on) == "LoRA rate 4x"


@pytest.mark.slow
def test_one_width_is_said_and_two_are_compared(studied: Any) -> None:
    result, found, _ = studied("lora-plus", ratios=(4.0, 16.0), looks=4)
    on = result.models[0]
    assert not on.failed and "Only one width was measured (32)" in found.sentence.text()
    assert [c.source for c in found.claims] == ["Hayou et al. 2024"]
    rates = {"LoRA": 1e-3, "LoRA rate 4x": 4e-3, "ratio 4": 5e-4, "ratio 16": 2.5e-4}  # lr(A); lr(A) · lr(B) is held
    assert list(on.runs) == list(rates)
    for name, rate in rates.items():
        assert on.runs[name][0]["rate"] == pytest.approx(rate)
        assert on.runs[name][0]["looks"][0][:2] == [0, 0.0] and len(on.runs[name][0]["looks"]) == 5
    result, found, _ = studied("lora-plus", ("llama_tied", "qwen2_sliding"), ratios=(16.0,), plain=(1.0,), looks=4)
    assert len(result.models) == 2 and len(found.tables) == 2 and len(found.claims) == 3


@pytest.mark.parametrize(("rate", "verdict"), [(1e-3, "differs"), (4e-3, "open")])
def test_a_larger_rate_of_plain_lora_is_no_word_against_a_ratio(rate: float, verdict: str) -> None:
    """Nor is a time said that is not there. Seen failing with "does not agree" for a ratio that had one rate only."""
    on = made({"LoRA": [3.0, 2.0, 1.0], "ratio 16": [3.0, 2.9, 2.8]})
    for arm, facts, lowest in zip(on.arms, ((True, 1.0), (False, 16.0)), (rate, 2.5e-4), strict=True):
        object.__setattr__(arm, "facts", dict(zip(("plain", "ratio"), facts, strict=True)))
        on.runs[arm.name][0]["rate"] = lowest
    share, kept = times(on, "LoRA")
    assert _claims([(on, share, kept)])[0].verdict == verdict
    assert _sentence(on, share).text().endswith("no ratio is surely faster than plain LoRA. None came to its loss.")
