"""Imitating the preferred answer and turning from the other one at once, without a reference.

The preferred answer's negative log-likelihood a token, and λ (-log σ(log odds(preferred) - log odds(rejected))), where
log odds = log p - log(1 - p) and p is an answer's likelihood a token, the geometric mean of its tokens' probabilities.
Source: Hong et al. 2024, "ORPO: Monolithic Preference Optimization without Reference Model".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.batch import Batch
from luthier.core.example import Example
from luthier.core.methods import Objective
from luthier.core.records import Preference, Record, Task
from luthier.core.split import Split
from luthier.core.tasks import without_pairs
from luthier.objectives.preferences import answers

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.models.outputs import Outputs
    from luthier.training.context import Context

extras = ()
LEAST = 1e-7  # of 1 - p, so that a certain answer has odds


@dataclass(frozen=True)
class Orpo(Objective):
    """weight: λ of the odds. max_length: in tokens, of a prompt with an answer; a longer prompt is shortened."""

    weight: float = 0.1
    max_length: int = 1024

    record: ClassVar[type] = Preference
    tasks: ClassVar[tuple[Task, ...]] = ("preference",)

    def refuses(self, ctx: Context) -> str | None:
        return super().refuses(ctx) or without_pairs(ctx.data.train, "orpo")

    def room(self, lm: TrainableLM, data: Split) -> int:
        return answers.room_for(lm, data)

    def examples(self, lm: TrainableLM, data: Split, row: int, record: Record) -> list[Example]:
        return answers.group(lm, "orpo", row, record)

    def divisors(self, examples: Sequence[Any]) -> dict[str, float]:
        learned = sum(len(e.where) for e in examples if e.columns[answers.CHOSEN][0])
        return {"nll": max(float(learned), 1.0), "odds": answers.groups_in(examples)}

    def loss(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        import torch.nn.functional as F

        sides = answers.sides(batch)
        logp = out.logprobs()
        odds = log_odds(answers.sums(logp, batch) / answers.lengths(batch))
        return {
            "nll": -(logp * batch.columns[answers.CHOSEN]).sum(),
            "odds": -self.weight * (sides.weight * F.logsigmoid(odds[sides.better] - odds[sides.worse])).sum(),
        }


def log_odds(logp: Tensor) -> Tensor:
    """log p - log(1 - p)."""
    import torch

    return logp - torch.log((-torch.expm1(logp)).clamp_min(LEAST))


METHOD = Orpo
