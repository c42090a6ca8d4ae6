"""The best of several answers that the untuned model writes, by a reward; nothing is trained.

What a reward can buy without training, and the row that a policy trained on it must beat. Every answer costs n.
Sources: Stiennon et al. 2020, "Learning to summarize from human feedback"; the distance, Beirami et al. 2024,
"Theoretical guarantees on the best-of-n alignment policy".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, Gt

from luthier.core.errors import LuthierError
from luthier.core.methods import Direct
from luthier.core.records import Asked, Message, Prompt, Sampling, Task
from luthier.evals.judging import Pair, ahead
from luthier.evals.wording import load_wording, wordings

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.core.lm import WordedLM
    from luthier.training.context import Context, Reward

extras = ()


@dataclass(frozen=True)
class BestOfN(Direct):
    """n: answers to choose among. temperature: they are drawn at, where a greedy answer is asked for."""

    n: Annotated[int, Ge(1)] = 4
    temperature: Annotated[float, Gt(0)] = 0.7

    tasks: ClassVar[tuple[Task, ...]] = ("generation", "preference")
    seeded: ClassVar[bool] = False
    remote: ClassVar[bool] = True
    learns: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ("reward",)

    def refuses(self, ctx: Context) -> str | None:
        return ctx.lm.lacks("generate")

    def answers(self) -> float:
        return float(self.n)

    def adapt(self, ctx: Context) -> BestOfLM:
        assert ctx.reward is not None
        return BestOfLM(ctx.lm.worded(wordings(ctx.lm, ctx.data)[0], ()), ctx.reward, self.n, self.temperature)

    def load(self, folder: Path, ctx: Context) -> BestOfLM:
        if ctx.reward is None:
            raise LuthierError(f"{folder}: the recipe names no reward to choose by")
        return BestOfLM(load_wording(folder, ctx.lm), ctx.reward, self.n, self.temperature)


@dataclass
class BestOfLM:
    """lm: what writes. kl: log n - (n - 1)/n, the most by which answers that were chosen differ from its own, in nats
    (reached where no two answers are alike)."""

    lm: WordedLM
    reward: Reward
    n: int
    temperature: float

    can = frozenset({"generate", "prefers"})
    output = "text"

    def __getattr__(self, name: str) -> Any:
        """Everything else is the model's: labels, context, progress, tokenizer, key, remote…"""
        if name in ("lm", "worded", "asked"):  # not made yet; another wording would lose the choice
            raise AttributeError(name)
        return getattr(self.lm, name)

    @property
    def kl(self) -> float:
        """An upper bound, in nats an answer."""
        return math.log(self.n) - (self.n - 1) / self.n

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        """The answer to each prompt with the highest reward, the first of equals."""
        drawn = replace(sampling, temperature=sampling.temperature or self.temperature)
        repeated = [prompt for prompt in prompts for _ in range(self.n)]
        texts = self._drawn(prompts, drawn) if self.lm.remote else self.lm.generate(repeated, drawn)
        numbers = self._numbers(repeated, texts)
        choices = [range(at, at + self.n) for at in range(0, len(texts), self.n)]
        return [texts[max(choice, key=numbers.__getitem__)] for choice in choices]

    def _drawn(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        """Each answer with a seed of its own: equal requests to a server are one request."""
        seeds = [sampling.seed * self.n + k for k in range(self.n)]
        found = [self.lm.generate(prompts, replace(sampling, seed=seed)) for seed in seeds]
        return [text for answers in zip(*found, strict=True) for text in answers]

    def prefers(self, pairs: Sequence[Pair]) -> list[float]:
        """1 where it would give the first of two answers, 0 where the second, one half where the reward is the same."""
        answers = [*(p.first for p in pairs), *(p.second for p in pairs)]
        numbers = self._numbers([p.messages for p in pairs] * 2, answers)
        return [*map(ahead, numbers[: len(pairs)], numbers[len(pairs) :])]

    def _numbers(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> list[float]:
        rows = [Asked((Message("user", p),) if isinstance(p, str) else tuple(p)) for p in prompts]
        return self.reward.score(prompts, answers, rows)

    def logprobs(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Tensor]:
        """Not known: how likely a chosen answer is depends on all that it was chosen among."""
        raise LuthierError("the best of several answers has no likelihood that is known")

    def predict(self, texts: Sequence[Prompt], labels: Sequence[str]) -> Tensor:
        """Not possible."""
        raise LuthierError("the best of several answers is a text: it predicts no label")

    def save(self, folder: Path) -> None:
        """What the model saves; n and the reward stand in the recipe."""
        self.lm.save(folder)


METHOD = BestOfN
