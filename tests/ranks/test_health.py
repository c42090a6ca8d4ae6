"""What ranks tell of themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from luthier.core.progress import Report
from luthier.training.ranks.health import SHOWN, Health


def test_each_has_its_own_place_in_the_sums() -> None:
    health = Health(2, 4, 1)
    health.begin()
    own = health.own()
    wall, busy, memory = (own[at : at + 4] for at in (0, 4, 8))
    for values in (wall, busy, memory):
        assert [at for at, value in enumerate(values) if value] in ([2], [])
    assert wall[2] > 0 and memory[2] > 1e6 and 0 <= busy[2] <= wall[2]


def test_who_holds_up_the_others_is_named() -> None:
    """Of ten seconds three ranks compute 4 and one 8: half of the time is waiting, and rank 1 has twice the work."""
    health = Health(0, 4, 1)
    health.put([10.0] * 4 + [4.0, 8.0, 4.0, 4.0] + [1e9, 2e9, 1e9, 1e9])
    assert health.told["waiting"] == pytest.approx(0.5)
    assert (health.told["straggler"], health.told["straggles_by"]) == (1, 2)
    assert health.told["rank1_busy"] == pytest.approx(0.8) and health.told["memory_of_fullest"] == 2e9
    report = Report(1, 10, 1.0, 0.1, 1.0, 100.0, 0.5, metrics=health.told)
    assert "rank 1 holds up the others (2.0 times" in report.words
    health.put([10.0] * 4 + [4.0, 4.5, 4.0, 4.0] + [1e9] * 4)
    assert "holds up" not in replace(report, metrics=health.told).words


def test_of_many_the_extremes_alone_are_told() -> None:
    health = Health(0, SHOWN + 1, 1)
    health.put([1.0] * (SHOWN + 1) + [0.5] * (SHOWN + 1) + [1.0] * (SHOWN + 1))
    assert set(health.told) == {"waiting", "memory_of_fullest"}
