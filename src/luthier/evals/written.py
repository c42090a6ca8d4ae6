"""Metrics of written answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from luthier.core.metric import Metric, Scores
from luthier.core.records import Sampling
from luthier.data.prompts import answer_of, prompt_of, thought_of

if TYPE_CHECKING:
    from luthier.core.lm import LM
    from luthier.core.records import Record
    from luthier.core.split import Split


class TextMetric(Metric):
    """A metric of written answers: a subclass compares each with the wanted one."""

    tasks = ("generation",)

    @abstractmethod
    def per_row(self, answers: Sequence[str], wanted: Sequence[str]) -> list[float]:
        """One number a pair, in the metric's unit."""

    def secondary(self, answers: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
        """Other figures over all pairs."""
        return {}

    def scores(self, lm: LM, data: Split, rows: Sequence[Record]) -> Scores:
        """Write an answer to every row and compare; with the loss on the wanted answers where the model gives it.

        Of a row with reasoning the answer alone is compared, and it has no loss: its answer follows what is thought.
        """
        from luthier.evals.task import answer_room

        wanted = [answer_of(r) for r in rows]
        answers = lm.generate([prompt_of(r) for r in rows], Sampling(max_new_tokens=answer_room(lm, data)))
        answers = [
            a.rpartition("</think>")[2].strip() if thought_of(r) else a for a, r in zip(answers, rows, strict=True)
        ]
        plain = [(prompt_of(r), answer_of(r)) for r in rows if not thought_of(r)]
        secondary = self.secondary(answers, wanted)
        if "logprobs" in lm.can and plain:
            found = lm.logprobs(plain)
            secondary["held_out_loss"] = -sum(float(t.sum()) for t in found) / max(sum(len(t) for t in found), 1)
        return Scores(self.name, self.per_row(answers, wanted), answers, secondary)
