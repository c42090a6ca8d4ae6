"""A reward model: a number for an answer, learned from which of two answers people preferred.

-log σ(r(preferred) - r(rejected) - margin), on average over all pairs of a ranking, which are one group. r is read off
the last token of the conversation with the answer by a linear head on standardised states, whose weights start as
N(0, 1 / √(d + 1)). At the end the numbers are moved so that the best answers of the training rows have 0 on average.
Source: Bradley and Terry 1952; Ouyang et al. 2022,
"Training language models to follow instructions with human feedback".
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
from luthier.objectives.classify import scale_head
from luthier.objectives.preferences import answers

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.models.outputs import Outputs
    from luthier.training.context import Context

extras = ()
CENTRED = 256  # rows whose preferred answers have 0 on average


@dataclass(frozen=True)
class Reward(Objective):
    """margin: by how much the preferred answer must be ahead. max_length: in tokens, of a prompt with an answer."""

    margin: float = 0.0
    max_length: int = 1024

    record: ClassVar[type] = Preference
    heads: ClassVar[tuple[str, ...]] = ("reward",)
    tasks: ClassVar[tuple[Task, ...]] = ("preference",)

    def refuses(self, ctx: Context) -> str | None:
        return super().refuses(ctx) or without_pairs(ctx.data.train, "reward")

    def examples(self, lm: TrainableLM, data: Split, row: int, record: Record) -> list[Example]:
        found = answers.compared("reward", record)
        return answers.grouped(row, found, [lm.labelled(row, whole, (), [0]) for whole in found.conversations])

    def setup(self, lm: TrainableLM, examples: Sequence[Any]) -> None:
        """The head reads standardised states, and starts small."""
        import torch

        from luthier.models.labelling import number_head

        head = number_head(lm)
        scale_head(lm, examples)
        torch.nn.init.normal_(head.weight, std=(head.weight.shape[1] + 1) ** -0.5)

    def divisors(self, examples: Sequence[Any]) -> dict[str, float]:
        groups = answers.groups_in(examples)
        return {"pair": groups, "_accuracy": groups, "_margin": groups}

    def loss(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        import torch.nn.functional as F

        sides = answers.sides(batch)
        found = out.head("reward")[:, 0]
        apart = found[sides.better] - found[sides.worse]
        return {
            "pair": -(sides.weight * F.logsigmoid(apart - self.margin)).sum(),
            "_accuracy": (sides.weight * (apart > 0)).sum().detach(),
            "_margin": (sides.weight * apart).sum().detach(),
        }

    def finish(self, ctx: Context, examples: Sequence[Any]) -> None:
        """Centre the numbers on preferred answers."""
        import torch

        from luthier.models.labelling import number_head

        assert ctx.executor is not None
        head = number_head(ctx.policy)
        preferred = [e for e in examples if e.columns[answers.CHOSEN][0]][:CENTRED]
        with torch.no_grad():
            head.centre.copy_(-head(ctx.executor.states(preferred)).double().mean())


METHOD = Reward
