"""Share of answers that are the wanted one, once both are normalised as for `token_f1`; token F1 beside it."""

from __future__ import annotations

from collections.abc import Sequence

from luthier.data.answer_words import answer_words
from luthier.evals.metrics.token_f1 import bag_f1
from luthier.evals.written import TextMetric


class ExactMatch(TextMetric):
    """1 or 0 a row."""

    name = "exact_match"
    title = "Exact match, %"
    meaning = "Exact match is the share of answers that are right but for case, punctuation and articles, in per cent."

    def per_row(self, answers: Sequence[str], wanted: Sequence[str]) -> list[float]:
        return [float(answer_words(a) == answer_words(w)) for a, w in zip(answers, wanted, strict=True)]

    def secondary(self, answers: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
        found = [bag_f1(answer_words(a), answer_words(w)) for a, w in zip(answers, wanted, strict=True)]
        return {"token_f1": sum(found) / len(found)}


METRIC = ExactMatch()
