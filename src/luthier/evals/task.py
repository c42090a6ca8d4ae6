"""Scores of an adapted model on rows of the task: one number a row, so that methods can be compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence

from luthier.data.prompts import answer_of
from luthier.evals.metric import DEFAULTS as METRIC
from luthier.evals.metric import Scores, for_task
from luthier.protocols import LM, Prompt, Record, Sampling, Split, Task

__all__ = ["METRIC", "Scores", "answer_one", "answer_room", "evaluate"]
PREDICTED: frozenset[Task] = frozenset({"classification", "multilabel", "regression"})  # answered without writing text


def evaluate(lm: LM, data: Split, rows: Sequence[Record]) -> Scores:
    """Score the rows by `data.metric`, or the task's own. rows must not be empty."""
    return for_task(data.task, data.metric).scores(lm, data, rows)


def answer_room(lm: LM, data: Split) -> int:
    """Tokens an answer may take: a fifth more than the longest answer in the training rows, 512 at most."""
    tokenizer = getattr(lm, "tokenizer", None)
    if tokenizer is None:
        return 256
    longest = max(len(tokenizer(answer_of(r), add_special_tokens=False)["input_ids"]) for r in data.train)
    return min(int(longest * 1.2) + 4, 512)


def answer_one(lm: LM, data: Split, prompt: Prompt, limit: int) -> None:
    """Answer one question alone, as the task wants it; a written answer takes `limit` tokens at most."""
    if data.task in PREDICTED:
        lm.predict([str(prompt)], data.labels)
    else:
        lm.generate([prompt], Sampling(max_new_tokens=min(answer_room(lm, data), limit)))
