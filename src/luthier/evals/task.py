"""Scores of an adapted model on rows of the task: one number a row, so that methods can be compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from luthier.core.lm import LM
from luthier.core.metric import DEFAULTS as METRIC
from luthier.core.metric import Scores, for_task
from luthier.core.records import Prompt, Record, Sampling, Task
from luthier.core.split import Split
from luthier.data.prompts import answer_of, thought_of

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM

__all__ = ["METRIC", "Scores", "answer_one", "answer_room", "evaluate"]
PREDICTED: frozenset[Task] = frozenset({"classification", "multilabel", "regression"})  # answered without writing text


def evaluate(lm: LM, data: Split, rows: Sequence[Record]) -> Scores:
    """Score the rows by `data.metric`, or the task's own. rows must not be empty."""
    return for_task(data.task, data.metric).scores(lm, data, rows)


def answer_room(lm: LM, data: Split) -> int:
    """Tokens an answer may take: a fifth more than the longest of the training rows with what is thought before it.

    512 at most, for the answer and for the thoughts; no more than `data.answer_tokens`.
    """
    most = data.answer_tokens or 1024
    tokenizer = getattr(lm, "tokenizer", None)
    if tokenizer is None:
        return min(256, most)

    def room(texts: Sequence[str]) -> int:
        longest = max(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts)
        return min(int(longest * 1.2) + 4, 512)

    thoughts = [thought for r in data.train if (thought := thought_of(r))]
    return min(room([answer_of(r) for r in data.train or data.validation]) + (room(thoughts) if thoughts else 0), most)


def answer_one(lm: LM, data: Split, prompt: Prompt, limit: int) -> None:
    """Answer one question alone, as the task wants it; a written answer takes `limit` tokens at most.

    A model that writes none tells what each token of the text costs.
    """
    if data.task in PREDICTED:
        lm.predict([str(prompt)], data.labels)
    elif "generate" not in lm.can:
        base = cast("TrainableLM", lm)
        base.stretch_logprobs(base.encode_text(str(prompt), base.context))
    else:
        lm.generate([prompt], Sampling(max_new_tokens=min(answer_room(lm, data), limit)))
