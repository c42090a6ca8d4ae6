"""What the numbers of a run that learns from rewards say is wrong, each by a run that has it and one that has not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.evals.health import by_rollout, health
from luthier.io.samples_file import write_samples
from luthier.reports.rollouts_page import write_page

FINE = {"ratio": 1.0, "kl": 2.0, "reward_deviation": 0.5, "clipped": 0.1, "opening": 0.1, "beta": 0.05, "entropy": 2.0,
        "length": 20.0, "ended": 0.9}  # fmt: skip


def run(*changes: dict[str, Any], rollouts: int = 12) -> list[dict[str, Any]]:
    """Rewards that rise. changes: of the last rollouts, one each."""
    found = [{**FINE, "rollout": i, "reward": 0.1 * i} for i in range(rollouts)]
    for line, change in zip(found[rollouts - len(changes) :], changes, strict=True):
        line.update(change)
    return found


def test_a_run_that_is_well_has_nothing_said_of_it() -> None:
    assert health(run()) == [] and health([]) == [] and health(run(rollouts=1)) == []


@pytest.mark.parametrize(
    ("change", "count", "words"),
    [
        ({"ratio": 1.05}, 1, "mean ratio 1.050"),
        ({"moved": 0.01}, 1, "0.0100 nats a token from what drew the answers"),
        ({"kl": -1.0}, 4, "below 0"),
        ({"kl": 60.0}, 4, "it may have left what the reward can judge"),
        ({"reward_deviation": 0.0}, 4, "nothing can be learned from it"),
        ({"clipped": 0.6}, 4, "the steps are too large"),
        ({"opening": 0.9}, 4, "begins? with the same words"),
        ({"beta": 0.0}, 12, "nothing holds the policy"),
        ({"entropy": 0.1}, 4, "Entropy fell from 2.00 to 0.10"),
        ({"length": 60.0}, 4, "changed from 20 to 60 tokens"),
        ({"length": 5.0}, 4, "changed from 20 to 5 tokens"),
        ({"ended": 0.1}, 4, "10 % of the answers end by themselves, and 90 %"),
        ({"reward": 0.0}, 12, "cannot be told from that of the first"),
    ],
)
def test_each_fault_has_its_sentence(change: dict[str, Any], count: int, words: str) -> None:
    import re

    (found,) = health(run(*[change] * count))
    assert re.search(words, str(found)), found
    assert found.text("zh") != str(found)


def test_the_worst_step_of_a_rollout_counts() -> None:
    lines = [{**FINE, "rollout": 1, "reward": 0.0, "clipped": c, "ratio": r} for c, r in ((0.0, 1.0), (0.5, 1.3))]
    (found,) = by_rollout([{"step": 1, "loss": 0.1}, *lines])
    assert found["clipped"] == 0.5 and found["ratio"] == 1.0, "the ratio is the first step's"


def test_the_page(tmp_path: Path) -> None:
    assert write_page(tmp_path) is None
    lines = [{**line, "step": i + 1, "tokens": 1, "loss": 0.0} for i, line in enumerate(run({"beta": 0.0}))]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert write_page(tmp_path), "there may be no samples"
    sample = {"prompt": "<b>问</b>", "answer": "答" * 3, "reward": 0.25, "ended": False}
    for i in range(3):
        write_samples(tmp_path, i, [{**sample, "reward": i}])
    page = write_page(tmp_path)
    assert page
    text = page.read_text(encoding="utf-8")
    assert "&lt;b&gt;问&lt;/b&gt;" in text and "<b>问" not in text and text.count("<svg") == 6
    assert "cut short" in text and "Nothing in the numbers stands out" in text and "从奖励中学习" in text
