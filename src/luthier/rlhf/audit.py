"""Where what a policy learned from and who judges it disagree: the answers to look at.

A reward model is wrong somewhere, and a policy finds where (Gao et al. 2023, "Scaling Laws for Reward Model
Overoptimization"). This shows it where a second judge does not follow: an audit and no oracle, since the judge is wrong
somewhere as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import stdev
from typing import Any

from luthier.core.records import Record
from luthier.objectives.sampling.drawing import words_of
from luthier.rlhf.paired import paired

LOOK = 6  # answers to look at
SURE = 1.96  # standard errors


def audit(
    rows: Sequence[Record], texts: Sequence[str], each: int,
    rewards: tuple[Sequence[float], Sequence[float]], judged: tuple[Sequence[float], Sequence[float]],
) -> dict[str, Any] | None:  # fmt: skip
    """What is told where the reward has surely risen and the judge's mean has not; else None.

    texts: the answers, `each` to a row; rewards, judged: numbers of these answers, and of those of the stage before.
    """
    (rise, rise_se), (gain, gain_se) = paired(*rewards, each), paired(*judged, each)
    if rise <= SURE * rise_se or gain > 0:
        return None
    apart = [
        (a - b) / _spread(rewards) - (c - d) / _spread(judged) for a, b, c, d in zip(*rewards, *judged, strict=True)
    ]
    of_prompt = [max(range(at, at + each), key=apart.__getitem__) for at in range(0, len(apart), each)]
    worst = sorted(of_prompt, key=apart.__getitem__, reverse=True)[:LOOK]
    return {
        "reward_gain": rise, "reward_gain_se": rise_se, "falls": gain + SURE * gain_se < 0,
        "answers": [
            {"prompt": words_of(rows[i // each]), "answer": texts[i], "reward": rewards[0][i], "judged": judged[0][i]}
            for i in worst
        ],
    }  # fmt: skip


def _spread(numbers: tuple[Sequence[float], Sequence[float]]) -> float:
    """Of all numbers of one judge, so that two judges' are alike; 1 where they are all the same."""
    return stdev([*numbers[0], *numbers[1]]) or 1.0
