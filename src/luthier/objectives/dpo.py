"""Learning from pairs without a reward model, the policy held against a reference that stands still.

-log σ(β [(log π - log π_ref)(preferred) - (log π - log π_ref)(rejected)]), log π summed over the answer's tokens
(Rafailov et al. 2023, "Direct Preference Optimization"). `ipo` regresses the same difference, a token on average, to
1 / (2 β), so that it cannot grow without end (Azar et al. 2024). `simpo` needs no reference:
-log σ(β (mean log π(preferred) - mean log π(rejected)) - γ) (Meng et al. 2024). The reference is the model as it stood
when this began; what it says of an answer is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Gt

from luthier.core.batch import Batch
from luthier.core.example import Example
from luthier.core.records import Record
from luthier.core.split import Split
from luthier.core.tasks import without_pairs
from luthier.objectives.preferences import answers
from luthier.objectives.preferences.reference import WithReference

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.models.outputs import Outputs
    from luthier.training.context import Context

extras = ()


@dataclass(frozen=True)
class Pairs:
    """What a loss may look at of P pairs, each (P,), the preferred answers first: sums of log π over the tokens of an

    answer, those of the reference, and how many tokens there are.
    """

    policy: tuple[Tensor, Tensor]
    reference: tuple[Tensor, Tensor]
    tokens: tuple[Tensor, Tensor]

    @property
    def gained(self) -> tuple[Tensor, Tensor]:
        """log π - log π_ref of both answers."""
        (a, b), (c, d) = self.policy, self.reference
        return a - c, b - d


def sigmoid(pairs: Pairs, beta: float, gamma: float) -> Tensor:
    """DPO's loss of each pair."""
    import torch.nn.functional as F

    good, bad = pairs.gained
    return -F.logsigmoid(beta * (good - bad))


def ipo(pairs: Pairs, beta: float, gamma: float) -> Tensor:
    """IPO's loss of each pair."""
    (good, bad), (long, other) = pairs.gained, pairs.tokens
    return (good / long - bad / other - 1 / (2 * beta)).square()


def simpo(pairs: Pairs, beta: float, gamma: float) -> Tensor:
    """SimPO's loss of each pair."""
    import torch.nn.functional as F

    (good, bad), (long, other) = pairs.policy, pairs.tokens
    return -F.logsigmoid(beta * (good / long - bad / other) - gamma)


LOSSES: Mapping[str, Callable[[Pairs, float, float], Tensor]] = {"sigmoid": sigmoid, "ipo": ipo, "simpo": simpo}
BETA: Mapping[str, float] = {"sigmoid": 0.1, "ipo": 0.1, "simpo": 2.0}
FREE = ("simpo",)  # of a reference


@dataclass(frozen=True)
class Dpo(WithReference):
    """variant: sigmoid (DPO), ipo or simpo. beta: how tightly the policy is held to the reference: 0.1, for simpo 2.

    gamma: SimPO's margin. max_length: in tokens, of a prompt with an answer; a prompt that is too long is shortened.
    """

    variant: Literal["sigmoid", "ipo", "simpo"] = "sigmoid"
    beta: Annotated[float, Gt(0)] | None = None
    gamma: float = 1.0
    max_length: int = 1024

    @property
    def uses_reference(self) -> bool:
        return self.variant not in FREE

    def refuses(self, ctx: Context) -> str | None:
        return super().refuses(ctx) or without_pairs(ctx.data.train, "dpo")

    def examples(self, lm: TrainableLM, data: Split, row: int, record: Record) -> list[Example]:
        return answers.group(lm, "dpo", row, record)

    def divisors(self, examples: Sequence[Any]) -> dict[str, float]:
        groups = answers.groups_in(examples)
        return {"pair": groups, "_accuracy": groups, "_margin": groups}

    def loss(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        sides = answers.sides(batch)
        good, bad = sides.better, sides.worse
        policy, tokens = answers.sums(out.logprobs(), batch), answers.lengths(batch)
        before = answers.sums(batch.columns[answers.REFERENCE], batch) if self.uses_reference else policy.detach() * 0
        pairs = Pairs((policy[good], policy[bad]), (before[good], before[bad]), (tokens[good], tokens[bad]))
        beta = BETA[self.variant] if self.beta is None else self.beta
        chosen, rejected = pairs.gained
        apart = (chosen - rejected).detach()
        return {
            "pair": (sides.weight * LOSSES[self.variant](pairs, beta, self.gamma)).sum(),
            "_accuracy": (sides.weight * (apart > 0)).sum(),
            "_margin": beta * (sides.weight * apart).sum(),
        }


METHOD = Dpo
