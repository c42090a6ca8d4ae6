"""ROUGE-L of each answer by the library rouge-score; ROUGE-1 and ROUGE-2 beside it.

The library's own tokenizer drops everything but a-z and digits, so it is given one that keeps all letters and takes
Chinese by characters (`luthier.data.answer_words`); on plain English both give the same. Without stemming.
Source: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from luthier.data.answer_words import words
from luthier.evals.written import TextMetric


class RougeL(TextMetric):
    """F-measure of the longest common subsequence, 0 to 1 a row."""

    name = "rougeL"
    title = "ROUGE-L, %"
    meaning = "ROUGE-L measures the longest common subsequence of words (Chinese: characters): 100 is the same text."

    def per_row(self, answers: Sequence[str], wanted: Sequence[str]) -> list[float]:
        return self._f("rougeL", answers, wanted)

    def secondary(self, answers: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
        found = {kind: self._f(kind, answers, wanted) for kind in ("rouge1", "rouge2")}
        return {kind: sum(values) / len(values) for kind, values in found.items()}

    def _f(self, kind: str, answers: Sequence[str], wanted: Sequence[str]) -> list[float]:
        from rouge_score.rouge_scorer import RougeScorer

        scorer = RougeScorer([kind], tokenizer=_Words())
        # texts without a pair of words have no rouge2 to compare: the same text is right all the same
        return [
            1.0 if words(a) == words(w) else float(scorer.score(w, a)[kind].fmeasure)
            for a, w in zip(answers, wanted, strict=True)
        ]


class _Words:
    """What rouge-score asks of a tokenizer."""

    def tokenize(self, text: Any) -> list[str]:
        return words(str(text))


METRIC = RougeL()
