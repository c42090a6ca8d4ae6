"""An objective that learns from answers it draws itself: a rollout, a few passes over it, the next rollout.

    prompts -> answers (engine) -> rewards -> what policy and reference say of them -> steps -> ...

Everything happens in `batches`; a rollout and the steps that are left of it are part of the state, so that a killed run
goes on in the middle of it. A run that is killed while it draws draws the same again: random numbers belong to seed,
rollout and answer. What is drawn and read counts in the budget.
"""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, Gt

from luthier.core.cursor import Cursor
from luthier.core.errors import LuthierError
from luthier.core.example import Example, renumbered, units_of
from luthier.core.methods import Objective
from luthier.core.phrases import say
from luthier.core.records import Asked, Record, Sampling, Task
from luthier.core.split import Split
from luthier.io.samples_file import write_samples
from luthier.objectives.sampling.drawing import Answer, draw, looked_at, told_of, words_of

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.models.outputs import Outputs
    from luthier.training.context import Context

Columns = Mapping[str, Sequence[float]]
TOKENS = 48  # of an answer, where neither objective nor data say
LOOKED_AT = 64  # rows whose length stands for all
JUDGED = 16  # validation prompts that a learning rate is judged by
FAR = 50.0  # nats an answer from the reference: a learning rate that leads there is none
READ = 4  # passes over an answer besides training: drawn, read by policy, reference and reward
STATE = ("beta", "rollouts", "left", "told", "failed")
MANY = 1_000_003  # seeds of rollouts lie so far apart from those of another run's seed


@dataclass(frozen=True)
class Sampled(Objective):
    """rollout: prompts of one, as many as a step has unless given. new_tokens: of an answer at most; None: as the data
    says, or 48. temperature: of the draw, and of every likelihood. beta: how tightly the policy is held to the
    reference. epochs: passes over a rollout. stop: nats an answer from the reference at which training ends.
    max_length: in tokens, of a prompt with an answer; a prompt that is too long is shortened.

    `_kept`: of the run: beta, rollouts so far, the rows; of the rollout its examples, the steps left and what is told.
    """

    rollout: Annotated[int, Ge(1)] | None = None
    new_tokens: Annotated[int, Ge(1)] | None = None
    temperature: Annotated[float, Gt(0)] = 1.0
    beta: Annotated[float, Ge(0)] = 0.05
    epochs: Annotated[int, Ge(1)] = 1
    stop: Annotated[float, Gt(0)] | None = None
    max_length: int = 1024

    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    record: ClassVar[type] = Asked
    epsilon: ClassVar[float] = 1e-5
    tasks: ClassVar[tuple[Task, ...]] = ("preference", "generation")
    needs: ClassVar[tuple[str, ...]] = ("reference", "reward", "sampling")
    each: ClassVar[int] = 1  # answers to a prompt
    behind: ClassVar[bool] = False  # True: also read behind an answer's last token

    # -- what a subclass adds ------------------------------------------------------------------------------------

    @abstractmethod
    def read(self, out: Outputs) -> Tensor:
        """What the policy says at each place when an answer was drawn, (N, k): log-probability and entropy first."""

    @abstractmethod
    def worth(self, answers: Sequence[Answer]) -> tuple[list[Columns], Mapping[str, float]]:
        """Columns of each answer that the loss reads besides those of `Answer.example`, and what is told of them."""

    # -- prompts -------------------------------------------------------------------------------------------------

    def refuses(self, ctx: Context) -> str | None:
        if ctx.policy.lacks("generate") or ctx.policy.peft_task != "CAUSAL_LM":
            return say("said_refused_drawing")
        if getattr(ctx.patch, "dropout", 0.0):
            return say("said_refused_drawing_dropout")
        return super().refuses(ctx)

    def room(self, lm: TrainableLM, data: Split) -> int:
        return min(self.length(data), lm.limit // 2)

    def length(self, data: Split) -> int:
        """Tokens of an answer at most."""
        return self.new_tokens or data.answer_tokens or TOKENS

    def dataset(self, ctx: Context, data: Split) -> Sequence[Example]:
        self._kept.update(rows=data.train, length=self.room(ctx.policy, data))
        return super().dataset(ctx, data)

    def examples(self, lm: TrainableLM, data: Split, row: int, record: Record) -> list[Example]:
        asked: Any = record.asked
        found = lm.read_prompt(asked, (), self.room(lm, data))
        return [Example(row, tuple(found.ids), (len(found.ids) - 1,), (0,), cut=found.cut)]

    def completed(self, ctx: Context, examples: Sequence[Any]) -> Sequence[Any]:
        raise LuthierError("early_stop looks at a loss on validation rows: who learns from a reward has `stop` instead")

    def epoch(self, examples: Sequence[Any]) -> int:
        return self._tokens(examples) * self.epochs

    def step_cost(self, lm: TrainableLM, data: Split, size: int) -> float:
        work = replace(lm.asked(template=lm.wordings(data.labels)[0], labels=data.labels))
        self.keep_limit(work, data)
        prompts = self.encode(work, data, data.train[:LOOKED_AT])
        each = sum(e.tokens for e in prompts) / max(len(prompts), 1) + self.room(work, data)
        return float((self.rollout or size) * each * self.each * (READ + self.epochs))

    def cost(self, examples: Sequence[Any]) -> int:
        return self._tokens(examples) * (READ + self.epochs)

    def _expected(self, prompts: Sequence[Any]) -> int:
        """Tokens of a rollout, its answers a quarter longer than the last ones were, at most."""
        told, most = self._kept.get("told"), self._kept["length"]
        longest = min(most, 1.25 * told["length"]) if told else most
        return int(sum(e.tokens + longest for e in prompts)) * self.each * (READ + self.epochs)

    def _tokens(self, prompts: Sequence[Any]) -> int:
        """Of all answers behind their prompts, at most."""
        return int(sum(e.tokens + self._kept["length"] for e in prompts)) * self.each

    def rate(self, share: float, warmup: float) -> float:
        """Linear to 0."""
        return max(1 - share, 0.0)

    # -- rollouts ------------------------------------------------------------------------------------------------

    @property
    def held(self) -> float:
        """β as it is now."""
        return float(self._kept.get("beta", self.beta))

    def batches(self, ctx: Context, dataset: Sequence[Example], size: int, cursor: Cursor) -> Iterator[list[Example]]:
        prompts = super().batches(ctx, dataset, self.rollout or size, cursor)
        while True:
            if not self._kept.get("left") and not self._begin(ctx, prompts, size):
                return
            step = self._kept["left"].pop(0)
            yield [self._kept["examples"][at] for at in step]

    def _begin(self, ctx: Context, prompts: Iterator[list[Example]], size: int) -> bool:
        """Draw the next rollout; False where the budget does not hold it, or the policy has gone too far."""
        if self.stop is not None and self._kept.get("told", {}).get("kl", 0.0) > self.stop:
            ctx.notes.append(say("said_stopped_kl", kl=f"{self._kept['told']['kl']:.1f}", stop=f"{self.stop:g}"))
            return False
        chosen = next(prompts)
        while len(chosen) < min(self.rollout or size, len(self._kept["rows"])):  # what an epoch leaves over is too few
            chosen = next(prompts)
        if not ctx.meter.fits(self._expected(chosen)):
            return False
        number = int(self._kept.get("rollouts", 0))
        answers, failed = self._answers(ctx, chosen, self._kept["rows"], self.each, ctx.seed * MANY + number)
        columns, told = self.worth(answers)
        self._kept["examples"] = [
            dataclasses.replace(a.example, columns={**a.example.columns, **c})
            for a, c in zip(answers, columns, strict=True)
        ]
        self._kept["left"] = _steps(self._kept["examples"], size, self.epochs, [ctx.seed, number])
        self._kept.update(rollouts=number + 1, told={"rollout": number + 1, **told_of(answers), **told})
        if failed:
            count, first = self._kept.get("failed", (0, failed[0]))
            self._kept["failed"] = [count + len(failed), first]
        if ctx.folder:
            write_samples(ctx.folder, number, [answer.told for answer in answers])
        return True

    def _answers(
        self, ctx: Context, prompts: Sequence[Example], rows: Sequence[Record], each: int, seed: int
    ) -> tuple[list[Answer], list[str]]:
        sampling = Sampling(int(self._kept["length"]), self.temperature, seed=seed)
        found = draw(ctx, prompts, [rows[e.source] for e in prompts], each, sampling)
        words = [words_of(rows[e.source]) for e in prompts]
        answers = looked_at(ctx, prompts, found.answers, self.read, self.temperature, self.behind, each > 1, words)
        return answers, list(found.failed)

    def finish(self, ctx: Context, examples: Sequence[Any]) -> None:
        if "failed" in self._kept:
            count, reason = self._kept["failed"]
            ctx.notes.append(say("said_reward_failed", count=count, reason=reason))

    # -- what a run is judged by, and its state ------------------------------------------------------------------

    def validate(self, ctx: Context, rows: Sequence[Record]) -> float:
        """Less the reward on these prompts, with β times the distance from the reference taken off; infinite where the
        policy is out of bounds."""
        assert ctx.data is not None
        rows = rows[:JUDGED]
        prompts = renumbered(self.encode(ctx.policy, ctx.data, rows))
        answers, _ = self._answers(ctx, prompts, rows, 1, ctx.seed)
        kl = fmean(a.kl for a in answers)
        value = fmean(a.drawn.reward for a in answers) - self.beta * kl
        return -value if math.isfinite(value) and kl <= (self.stop or FAR) else math.inf

    def told(self) -> Mapping[str, float]:
        return dict(self._kept.get("told", {}))

    def state(self) -> dict[str, Any]:
        kept: dict[str, Any] = {key: self._kept[key] for key in STATE if key in self._kept}
        return {**kept, "examples": [dataclasses.asdict(e) for e in self._kept.get("examples", ())]}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._kept.update({**state, "examples": [Example.of(values) for values in state["examples"]]})


def _steps(examples: Sequence[Example], size: int, epochs: int, seed: Sequence[int]) -> list[list[int]]:
    """Places of the examples of each step: every answer, or group of answers, once an epoch, in an order of its own."""
    import numpy as np

    units = units_of(examples)
    out = []
    for epoch in range(epochs):
        order = np.random.default_rng([*seed, epoch]).permutation(len(units))
        out += [[at for unit in order[i : i + size] for at in units[unit]] for i in range(0, len(order), size)]
    return out
