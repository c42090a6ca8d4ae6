"""Answers drawn from the policy and judged by a reward; one that cannot be judged is left out, not the run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.core.example import Example
from luthier.core.records import Record, Sampling
from luthier.objectives.sampling.advantages import k1, k3

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.outputs import Outputs
    from luthier.training.context import Context, Reward

OLD, REFERENCE = "old", "reference"  # columns: log-probabilities when drawn, and of the reference
WORDS = 4  # that answers begin with, of which a policy that collapses has one set
GIVEN_UP = 8  # answers in a row that a reward fails on, after it failed on all at once


@dataclass(frozen=True)
class Drawn:
    """An answer. prompt: place of its prompt among those given. ids: its tokens; ended: the last one ends it.

    reward: as given, before anything is taken off.
    """

    prompt: int
    ids: tuple[int, ...]
    ended: bool
    text: str
    reward: float

    def example(self, row: int, prompt: Example, behind: bool = False, group: int | None = None) -> Example:
        """The answer behind its prompt, read before each of its tokens, and also behind the last where asked for."""
        first, count = len(prompt.ids) - 1, len(self.ids)
        ids = (*prompt.ids, *(self.ids if behind else self.ids[:-1]))
        targets = (*self.ids, 0) if behind else self.ids
        where = tuple(range(first, first + count + behind))
        return Example(row, ids, where, targets, record=prompt.source, group=group)


@dataclass(frozen=True)
class Answer:
    """An answer with what was said of it when it was drawn. example: with the columns "old" and "reference".

    values: at each place of the example, log-probability and entropy first. told: what people see of it.
    """

    drawn: Drawn
    example: Example
    values: Sequence[Sequence[float]]
    told: Mapping[str, Any]

    @property
    def tokens(self) -> int:
        """Of the answer: there may be one more place behind them."""
        return len(self.drawn.ids)

    @property
    def logp(self) -> list[float]:
        """log π of its tokens."""
        return [value[0] for value in self.values[: self.tokens]]

    @property
    def entropy(self) -> list[float]:
        """Of what the policy would have said at each of its tokens."""
        return [value[1] for value in self.values[: self.tokens]]

    @property
    def reference(self) -> list[float]:
        """log π_ref of its tokens."""
        found: Any = self.example.columns[REFERENCE]
        return list(found[: self.tokens])

    @property
    def kl(self) -> float:
        """An estimate of how far the policy is from the reference, in nats; it may be negative."""
        return k1(self.logp, self.reference)


@dataclass(frozen=True)
class Rollout:
    """What was drawn and judged. failed: why answers were left out, once for each."""

    answers: tuple[Drawn, ...]
    failed: tuple[str, ...]


def draw(ctx: Context, prompts: Sequence[Example], records: Sequence[Record], each: int, sampling: Sampling) -> Rollout:
    """`each` answers to every prompt, in the prompts' order. records: the row of each prompt, which a reward may read.

    Raises LuthierError where no answer could be judged.
    """
    assert ctx.reward is not None
    asked = [at for at in range(len(prompts)) for _ in range(each)]
    samples = ctx.sample([prompts[at].ids for at in asked], sampling)
    texts = [answer_text(ctx.policy, sample.ids) for sample in samples]
    kept = [at for at, sample in enumerate(samples) if sample.ids]
    numbers, failed = judged(
        ctx.reward, [records[asked[at]].asked for at in kept], [texts[at] for at in kept],
        [records[asked[at]] for at in kept],
    )  # fmt: skip
    answers = tuple(
        Drawn(asked[at], samples[at].ids, samples[at].ended, texts[at], number)
        for at, number in zip(kept, numbers, strict=True)
        if number is not None
    )
    return Rollout(answers, tuple(failed))


def answer_text(lm: Any, ids: Sequence[int]) -> str:
    """The words of an answer, without what ended it: a token, or several."""
    said = ids[:-1] if ids and ids[-1] in lm.ends.tokens else ids
    return str(lm.ends.cut(lm.tokenizer.decode(list(said), skip_special_tokens=True))).strip()


def judged(
    reward: Reward, prompts: Sequence[Any], answers: Sequence[str], records: Sequence[Record]
) -> tuple[list[float | None], list[str]]:
    """A number an answer, None where there is none, and why. Raises LuthierError where the reward gives none at all."""
    if not answers:
        return [], []
    try:
        return _finite(reward.score(prompts, answers, records)), []
    except LuthierError as error:
        first = error
    found: list[float | None] = []
    failed: list[str] = []
    for prompt, answer, record in zip(prompts, answers, records, strict=True):
        try:
            found += _finite(reward.score([prompt], [answer], [record]))
        except LuthierError as error:
            found.append(None)
            failed.append(str(error))
            if len(failed) == len(found) >= GIVEN_UP:
                raise
    if len(failed) == len(found):
        raise first
    return found, failed


def _finite(numbers: Sequence[float]) -> list[float | None]:
    if not all(map(math.isfinite, numbers)):
        raise LuthierError("the reward gave no finite number for an answer")
    return list(numbers)


def looked_at(
    ctx: Context, prompts: Sequence[Example], found: Sequence[Drawn], read: Callable[[Outputs], Tensor],
    temperature: float, behind: bool, grouped: bool, words: Sequence[str],
) -> list[Answer]:  # fmt: skip
    """The answers with what policy and reference say of them. read: log-probability and entropy first, (N, k).

    words: of each prompt, as people read it.
    """
    examples = [d.example(at, prompts[d.prompt], behind, d.prompt if grouped else None) for at, d in enumerate(found)]
    own = [values.tolist() for values in ctx.now("policy").look(examples, read)]
    with ctx.reference() as reference:
        others = [values.tolist() for values in reference.logprobs(examples, temperature)]
    out = []
    for drawn, example, values, other in zip(found, examples, own, others, strict=True):
        columns = {OLD: [value[0] for value in values], REFERENCE: other}
        told = {"prompt": words[drawn.prompt], "answer": drawn.text, "reward": drawn.reward}
        told |= {"ended": drawn.ended}
        out.append(Answer(drawn, replace(example, columns=columns), values, told))
    return out


def told_of(answers: Sequence[Answer]) -> dict[str, float]:
    """How a rollout went. kl, kl3: from the reference in nats an answer, by two estimators; entropy: nats a token;

    distinct: share of answers that are no other's; opening: share that begin like the most common one.
    """
    rewards = [a.drawn.reward for a in answers]
    texts = [a.drawn.text for a in answers]
    begins = Counter(" ".join(text.split()[:WORDS]) if " " in text else text[: 2 * WORDS] for text in texts)
    tokens = [entropy for a in answers for entropy in a.entropy]
    return {
        "reward": fmean(rewards), "reward_deviation": pstdev(rewards), "kl": fmean(a.kl for a in answers),
        "kl3": fmean(k3(a.logp, a.reference) for a in answers), "entropy": fmean(tokens),
        "ended": fmean(a.drawn.ended for a in answers), "length": fmean(len(a.drawn.ids) for a in answers),
        "distinct": len(set(texts)) / len(texts), "opening": begins.most_common(1)[0][1] / len(texts),
    }  # fmt: skip


def words_of(record: Record) -> str:
    """What is asked, as people read it."""
    asked = record.asked
    return asked if isinstance(asked, str) else "\n".join(message.content for message in asked)
