"""Learning from rewards: several answers are drawn to a prompt, and held against each other.

    -min(ρ A, clip(ρ, 1 - ε, 1 + ε_high) A) + β (exp(q) - q - 1) a token, ρ = π / π_old, q = log π_ref - log π

variant: over which tokens that is a mean. grpo: each answer's, then all answers' (Shao et al. 2024, "DeepSeekMath");
dapo: all tokens of the step (Yu et al. 2025); dr_grpo: answers times the most tokens they may have, which favours
neither short answers that are right nor long ones that are wrong (Liu et al. 2025). scale: what a group's advantages
are: `deviation`, `none` (as Dr. GRPO has it) or `others` (RLOO, Ahmadian et al. 2024).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt

from luthier.core.batch import Batch
from luthier.objectives.sampling.advantages import Scale, relative
from luthier.objectives.sampling.drawing import OLD, REFERENCE, Answer
from luthier.objectives.sampling.sampled import Columns, Sampled

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.outputs import Outputs

extras = ()
ADVANTAGE, SHARE = "advantage", "share"  # columns; share: of a token in what the loss is a mean over


@dataclass(frozen=True)
class Grpo(Sampled):
    """answers: to each prompt. clip, clip_high: how far the ratio counts below and above 1 (as far, unless given).

    variant, scale: see above; scale None is what the variant's paper has.

    As in `Sampled`: rollout (prompts), new_tokens, temperature, beta, epochs, stop, max_length.
    """

    beta: Annotated[float, Ge(0)] = 0.04
    answers: Annotated[int, Ge(2)] = 8
    clip: Annotated[float, Gt(0)] = 0.2
    clip_high: Annotated[float, Gt(0)] | None = None
    variant: Literal["grpo", "dr_grpo", "dapo"] = "grpo"
    scale: Scale | None = None

    @property
    def each(self) -> int:  # type: ignore[override]
        return self.answers

    def read(self, out: Outputs) -> Tensor:
        import torch

        return torch.stack([out.logprobs(self.temperature), out.entropy(self.temperature)], -1)

    def worth(self, answers: Sequence[Answer]) -> tuple[list[Columns], Mapping[str, float]]:
        scale = self.scale or ("none" if self.variant == "dr_grpo" else "deviation")
        found: list[float] = []
        same, groups = 0, 0
        for _, members in groupby(answers, key=lambda a: a.drawn.prompt):
            rewards = [a.drawn.reward for a in members]
            found += relative(rewards, scale)
            same, groups = same + (len(set(rewards)) == 1), groups + 1
        columns: list[Columns] = [
            {ADVANTAGE: [value] * a.tokens, SHARE: [self._share(a.tokens)] * a.tokens}
            for a, value in zip(answers, found, strict=True)
        ]
        return columns, {"beta": self.held, "alike": same / groups, "advantage": fmean(map(abs, found))}

    def _share(self, tokens: int) -> float:
        if self.variant == "dapo":
            return 1.0
        return 1 / tokens if self.variant == "grpo" else 1 / float(self._kept["length"])

    def divisors(self, examples: Sequence[Any]) -> dict[str, float]:
        tokens = max(float(sum(len(e.where) for e in examples)), 1.0)
        mean = tokens if self.variant == "dapo" else float(len(examples))
        return {"policy": mean, "kl": mean, "_ratio": tokens, "_clipped": tokens, "_moved": tokens}

    def loss(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        import torch

        columns = batch.columns
        advantage, share = columns[ADVANTAGE], columns[SHARE]
        logp = out.logprobs(self.temperature)
        apart = logp - columns[OLD]
        ratio, q = apart.exp(), columns[REFERENCE] - logp
        high = self.clip if self.clip_high is None else self.clip_high
        plain, held = -advantage * ratio, -advantage * ratio.clamp(1 - self.clip, 1 + high)
        return {
            "policy": (torch.maximum(plain, held) * share).sum(),
            "kl": self.held * ((q.expm1() - q) * share).sum(),
            "_ratio": ratio.sum(),
            "_clipped": (held > plain).float().sum(),
            "_moved": (apart.expm1() - apart).sum(),
        }


METHOD = Grpo
