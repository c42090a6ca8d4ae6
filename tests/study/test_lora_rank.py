"""Ranks, alphas and dropout: which settings are tried, and what a small rank costs."""

from __future__ import annotations

from typing import Any

import pytest

from luthier.evals.bootstrap import Interval
from luthier.study.studies.lora_rank import LoraRank, _enough


def test_one_thing_changes_at_a_time_or_all() -> None:
    """Seen failing with every combination tried without `grid`."""
    arms, notes = LoraRank().arms(None)  # type: ignore[arg-type]
    assert len(arms) == 7 + 2 + 1 and len(notes) == 1
    assert {a.options["rank"] for a in arms} == {1, 2, 4, 8, 16, 32, 64}
    assert all(a.options["alpha"] == a.facts["alpha"] * a.options["rank"] for a in arms)
    arms, notes = LoraRank(grid=True).arms(None)  # type: ignore[arg-type]
    assert len(arms) == len({a.name for a in arms}) == 42 and not notes


def test_the_study(studied: Any) -> None:
    result, found, _ = studied("lora-rank", ranks=(1, 8, 16))
    on = result.models[0]
    assert not on.failed and len(on.runs) == 6
    small, large = on.runs["r1 alpha 2r"][0], on.runs["r16 alpha 2r"][0]
    assert 16 * small["trainable"] == large["trainable"]
    assert small["bytes"] == 4 * small["trainable"]
    assert all(run["seconds"] > 0 and run["memory"] > 0 for runs in on.runs.values() for run in runs)
    assert [c.source for c in found.claims] == ["Hu et al. 2021", "Biderman et al. 2024", "Dettmers et al. 2023"]
    assert found.charts[0]["lines"][0]["x"] == [1, 8, 16] or found.charts[0]["lines"][1]["x"] == [1, 8, 16]


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(-0.1, 0.02, "agrees"), (0.01, 0.2, "differs"), (-0.1, 0.2, "open")]
)
def test_enough_is_not_claimed_below_the_interval(low: float, high: float, verdict: str) -> None:
    assert _enough(Interval((low + high) / 2, low, high)) == verdict
