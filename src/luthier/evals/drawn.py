"""Answers that an adapted model writes, held against those of the untuned one: who wins, and how far it moved.

wins: how often a judge finds the adapted model's answer the better one, ties half. kl: the mean over its answers of
log π(answer) - log π_untuned(answer), nats an answer, which estimates the distance of the two without bias; what a
preference gains is paid in it. Both on the same prompts with the same random numbers, each with its interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, Protocol

from luthier.core.records import Message, Record, Sampling
from luthier.evals.bootstrap import Bootstrap, Interval

if TYPE_CHECKING:
    from luthier.core.lm import LM

PROMPTS = 32  # of the test rows, at most
TOKENS = 128  # of an answer, where the comparison sets no limit
TEMPERATURE = 1.0  # else the mean over answers of log-probabilities at 1 is no estimate of a KL


class Comparer(Protocol):
    """What tells two answers to one prompt apart."""

    def prefers(self, rows: Sequence[Record], answers: Sequence[str], others: Sequence[str]) -> list[float]:
        """1 where the answer is better than the other one, 0 where it is worse, one half where neither is."""


@dataclass(frozen=True)
class Untuned:
    """What adapted models are held against. answers: of the untuned model to the prompts of these rows."""

    rows: tuple[Record, ...]
    answers: tuple[str, ...]
    sampling: Sampling
    judge: Comparer


def write(lm: LM, rows: Sequence[Record], sampling: Sampling) -> tuple[str, ...]:
    """An answer to the prompt of each row."""
    return tuple(lm.generate([_asked(row) for row in rows], sampling))


def _asked(row: Record) -> tuple[Message, ...]:
    asked = row.asked
    return (Message("user", asked),) if isinstance(asked, str) else asked


def measured(
    lm: LM, untuned: Untuned, start: LM | None = None, off: Callable[[], AbstractContextManager[Any]] | None = None
) -> dict[str, Any]:
    """What `eval.json` says of the answers of an adapted model.

    start, off: the model as it was, and what makes it that for the length of a `with` block; None where the distance
    cannot be had.
    """
    answers = write(lm, untuned.rows, untuned.sampling)
    wins = untuned.judge.prefers(untuned.rows, answers, untuned.answers)
    found = {"reply_tokens": fmean(_length(lm, answer) for answer in answers), **_told("wins", wins)}
    if (most := getattr(lm, "kl", None)) is not None:  # of a method whose distance is known, as a bound
        return {**found, "kl": most, "kl_ci95": [0.0, most]}
    if start is None or off is None or "logprobs" not in lm.can:
        return found
    pairs = [(_asked(row), answer) for row, answer in zip(untuned.rows, answers, strict=True)]
    now = [float(x.double().sum()) for x in lm.logprobs(pairs)]
    with off():
        before = [float(x.double().sum()) for x in start.logprobs(pairs)]
    return {**found, **_told("kl", [a - b for a, b in zip(now, before, strict=True)])}


def _length(lm: LM, answer: str) -> int:
    """In tokens, where the tokenizer is here; in characters else."""
    tokenizer = getattr(lm, "tokenizer", None)
    return len(tokenizer(answer, add_special_tokens=False)["input_ids"]) if tokenizer else len(answer)


def _told(name: str, values: Sequence[float]) -> dict[str, Any]:
    found: Interval = Bootstrap({name: [list(values)]}).score(name)
    return {name: found.value, f"{name}_ci95": [found.low, found.high]}
