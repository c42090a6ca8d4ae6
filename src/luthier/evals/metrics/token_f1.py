"""F1 of the words of an answer against the wanted one, as for question answering; exact match beside it.

Both are normalised first: Unicode NFKC, small letters, no punctuation, no English articles; Chinese is counted by
characters (`luthier.data.answer_words`). Source: SQuAD, Rajpurkar et al. 2016; by characters as in CMRC, Cui et al.
2019.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from luthier.data.answer_words import answer_words
from luthier.evals.written import TextMetric


class TokenF1(TextMetric):
    """0 to 1 a row; 1 when both sides have no word, 0 when one has none."""

    name = "token_f1"
    title = "Token F1, %"
    meaning = "Token F1 weighs the answer's words (Chinese: characters) against the wanted ones: 100 is the same words."

    def per_row(self, answers: Sequence[str], wanted: Sequence[str]) -> list[float]:
        return [bag_f1(answer_words(a), answer_words(w)) for a, w in zip(answers, wanted, strict=True)]

    def secondary(self, answers: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
        same = [answer_words(a) == answer_words(w) for a, w in zip(answers, wanted, strict=True)]
        return {"exact_match": sum(same) / len(same)}


def bag_f1(given: Sequence[object], wanted: Sequence[object]) -> float:
    """F1 of two bags of things, each counted as often as it stands there."""
    if not given and not wanted:
        return 1.0
    shared = (Counter(given) & Counter(wanted)).total()
    return 2 * shared / (len(given) + len(wanted))


METRIC = TokenF1()
