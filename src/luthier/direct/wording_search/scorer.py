"""How good a wording is, one number a training row: likelihood of what is wanted, or the task's metric.

likelihood: log-probability of the right label, normalised over the labels, or of the wanted answer by UTF-8 byte; in
nats, one forward pass a row. metric: what the comparison is judged by. A row is one model call either way. Labels are
best judged by likelihood, which tells wordings apart that choose the same labels; written answers by the metric, since
a wording can make the wanted answer likely without ever getting it written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from luthier.core.errors import LuthierError
from luthier.core.metric import for_task, scale
from luthier.core.phrases import say
from luthier.core.records import Record
from luthier.core.split import Split
from luthier.data.prompts import Template, answer_of, prompt_of
from luthier.evals.formatting import metric
from luthier.evals.task import evaluate
from luthier.models.endpoint.remote import is_remote

if TYPE_CHECKING:
    from luthier.core.lm import WordedLM

How = Literal["auto", "likelihood", "metric"]


def judged_by(lm: WordedLM, data: Split, how: How) -> Literal["likelihood", "metric"]:
    """What a search is judged by: likelihood for labels, unless an endpoint gives only answers; else the metric."""
    if how != "auto":
        return how
    return "likelihood" if data.labels and not is_remote(lm) else "metric"


def score(lm: WordedLM, template: Template, data: Split, rows: Sequence[Record], how: str) -> list[float]:
    """One finite number a row; higher is better. Raises LuthierError where the model does not give it."""
    worded = lm.worded(template, data.labels)
    if how == "metric":
        return [float(v) for v in evaluate(worded, data, rows).per_row]
    if data.labels:
        found = worded.predict([str(prompt_of(r)) for r in rows], data.labels)
        values = [float(found[i, data.labels.index(answer_of(r))]) for i, r in enumerate(rows)]
    else:
        pairs = [(prompt_of(r), answer_of(r)) for r in rows]
        sizes = [max(len(answer.encode("utf-8", "replace")), 1) for _, answer in pairs]
        values = [float(v.sum()) / n for v, n in zip(worded.logprobs(pairs), sizes, strict=True)]
    if not all(map(math.isfinite, values)):
        raise LuthierError("a likelihood is not finite: this model says labels or nothing; score wordings by metric")
    return values


def unit(data: Split, how: str) -> str:
    """What a score is, for a page and a terminal."""
    if how == "metric":
        return metric(for_task(data.task, data.metric).name)
    return say("said_measure_label" if data.labels else "said_measure_answer")


def shown(value: float, data: Split, how: str) -> str:
    """A score as it is written."""
    if how == "metric":
        return f"{value * scale(for_task(data.task, data.metric).name):.1f}"
    return f"{value:.3f}"
