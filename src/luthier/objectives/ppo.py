"""Learning from rewards: drawn answers become likelier as far as they beat what a critic expects.

    r_t = -β (log π - log π_ref), and the reward of the answer at its last token
    A_t = generalised advantages of these, whitened over the rollout
    max(-ρ A, -clip(ρ, 1 - ε, 1 + ε) A) + v · ½ max((V - R)², (clip(V, V_old ± ε) - R)²), ρ = π / π_old

The critic V is a head on the policy's own standardised states, from zero, or from the reward model where that is a head
on the same base; it also learns that nothing comes behind an answer's end. An answer that does not end loses `penalty`.
Unless the critic begins as the reward, rewards stand around their mean over the rollout: a critic from zero cannot
follow a mean, and λ < 1 would pay, or punish, tokens for being near the end.
Dropout is off everywhere; likelihoods are of the temperature that answers are drawn at. Adam's ε is 1e-5 and the
learning rate falls to 0.
Sources: Schulman et al. 2017, "Proximal Policy Optimization Algorithms"; Ziegler et al. 2019; Ouyang et al. 2022;
Huang et al. 2024, "The N+ Implementation Details of RLHF with PPO".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le

from luthier.core.batch import Batch
from luthier.core.example import Example
from luthier.core.split import Split
from luthier.objectives.sampling.advantages import explained, generalised, per_token, whitened
from luthier.objectives.sampling.drawing import OLD, Answer
from luthier.objectives.sampling.sampled import Columns, Sampled

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.outputs import Outputs
    from luthier.training.context import Context

extras = ()
GAMMA = 1.0
SCALED = 32  # prompts whose states the critic's are standardised by
HORIZON = 10_000  # answers over which an adaptive β adapts
SWAY = 0.2  # the most that an error of the KL moves it
KNOWS = "knows"  # whether the critic knows what rewards are like
ADVANTAGE, RETURN, VALUE, TOKEN = "advantage", "return", "value", "token"  # columns; token: 1, behind the end 0


@dataclass(frozen=True)
class Ppo(Sampled):
    """target: nats an answer that β adapts to; None: β stays. clip: of the ratio and of the critic. critic: the weight
    of its loss. lam: λ of the advantages. penalty: what an answer without an end loses.

    As in `Sampled`: rollout (prompts), new_tokens, temperature, beta, epochs, stop, max_length.
    """

    temperature: Annotated[float, Gt(0)] = 0.7
    epochs: Annotated[int, Ge(1)] = 4
    target: Annotated[float, Gt(0)] | None = None
    clip: Annotated[float, Gt(0)] = 0.2
    critic: Annotated[float, Ge(0)] = 0.1
    lam: Annotated[float, Ge(0), Le(1)] = 0.95
    penalty: Annotated[float, Ge(0)] = 1.0

    heads: ClassVar[tuple[str, ...]] = ("vocab", "value")
    behind: ClassVar[bool] = True

    def dataset(self, ctx: Context, data: Split) -> Sequence[Example]:
        """The prompts; the critic begins as a reward model that is a head on the same states, else from zero."""
        from luthier.models.labelling import ValueHead
        from luthier.objectives.classify import scale_head

        found, head = super().dataset(ctx, data), ctx.policy.heads["value"]
        assert isinstance(head, ValueHead)
        of_reward = getattr(ctx.reward, "head_on", None)
        if of_reward and (begun := of_reward(ctx.policy.key)) is not None:
            head.begin_as(begun)
            self._kept[KNOWS] = True
        else:
            scale_head(ctx.policy, [_second_half(e) for e in found[:SCALED]], head)
        return found

    def read(self, out: Outputs) -> Tensor:
        import torch

        said, entropy = out.logprobs(self.temperature), out.entropy(self.temperature)
        return torch.stack([said, entropy, out.head("value")[:, 0].float()], -1)

    def worth(self, answers: Sequence[Answer]) -> tuple[list[Columns], Mapping[str, float]]:
        beta = self.held
        scores = [a.drawn.reward - (0.0 if a.drawn.ended else self.penalty) for a in answers]
        mean = 0.0 if self._kept.get(KNOWS) else fmean(scores)
        values = [[value[2] for value in a.values] for a in answers]
        raw = []
        for a, own, score in zip(answers, values, scores, strict=True):
            # nothing comes behind an answer: what the critic says of that place so far is not believed
            rewards = per_token(a.logp, a.reference, beta, score - mean)
            raw.append(generalised(rewards, [*own[:-1], 0.0], GAMMA, self.lam))
        returns = [[x + v for x, v in zip(row, own, strict=False)] for row, own in zip(raw, values, strict=True)]
        columns: list[Columns] = [
            {ADVANTAGE: [*white, 0.0], RETURN: [*wanted, 0.0], VALUE: own, TOKEN: [*[1.0] * len(white), 0.0]}
            for white, wanted, own in zip(whitened(raw), returns, values, strict=True)
        ]
        flat = [x for row in returns for x in row], [x for own in values for x in own[:-1]]
        told = {"beta": beta, "explained": explained(*flat), "return": fmean(flat[0])}
        self._adapt(fmean(a.kl for a in answers), len(answers))
        return columns, told

    def _adapt(self, kl: float, answers: int) -> None:
        """Move β towards the KL that is wanted (Ziegler et al. 2019)."""
        if self.target is not None:
            error = min(max(kl / self.target - 1, -SWAY), SWAY)
            self._kept["beta"] = self.held * (1 + error * answers / HORIZON)

    def divisors(self, examples: Sequence[Any]) -> dict[str, float]:
        places = float(sum(len(e.where) for e in examples))
        tokens = max(places - len(examples), 1.0)
        shares = dict.fromkeys(("_ratio", "_clipped", "_moved"), tokens)
        return {"policy": tokens, "value": places, "_value": places, "_value_clipped": places, **shares}

    def loss(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        import torch

        columns, clip = batch.columns, self.clip
        token, advantage = columns[TOKEN], columns[ADVANTAGE]
        apart = (out.logprobs(self.temperature) - columns[OLD]) * token
        ratio = apart.exp()
        plain, held = -advantage * ratio, -advantage * ratio.clamp(1 - clip, 1 + clip)
        value = out.head("value")[:, 0].float()
        near = columns[VALUE] + (value - columns[VALUE]).clamp(-clip, clip)
        off, off_near = (value - columns[RETURN]).square(), (near - columns[RETURN]).square()
        error = 0.5 * torch.maximum(off, off_near)
        return {
            "policy": (torch.maximum(plain, held) * token).sum(),
            "value": self.critic * error.sum(),
            "_ratio": (ratio * token).sum(),
            "_clipped": ((held > plain) * token).sum(),
            "_moved": (apart.expm1() - apart).sum(),
            "_value": error.sum(),
            "_value_clipped": (off_near > off).float().sum(),
        }


def _second_half(prompt: Example) -> Example:
    """Read at all of its later places: the first token of a text is like no other, the last ones always the same."""
    where = tuple(range(len(prompt.ids) // 2, len(prompt.ids)))
    return replace(prompt, where=where, targets=(0,) * len(where))


METHOD = Ppo
