"""chrF of each answer (character n-grams, Popović 2015), by sacrebleu; corpus chrF, BLEU and exact match beside it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from luthier.data.answer_words import UNSPACED
from luthier.evals.written import TextMetric

_HAN = re.compile("[\u4e00-\u9fff]")
_UNSPACED = re.compile(f"([{UNSPACED}])")


class ChrF(TextMetric):
    """0 to 100 a row. BLEU counts scripts without spaces between words by characters."""

    name = "chrF"
    title = "chrF"
    unit = "points"
    meaning = "chrF compares letter sequences with the reference answer: 0 is nothing in common, 100 the same text."

    def per_row(self, answers: Sequence[str], wanted: Sequence[str]) -> list[float]:
        return [_chrf(_composed(a), _composed(w)) for a, w in zip(answers, wanted, strict=True)]

    def secondary(self, answers: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
        from sacrebleu import corpus_chrf

        said, right = [_composed(a) for a in answers], [_composed(w) for w in wanted]
        return {
            "exact_match": sum(a == w for a, w in zip(said, right, strict=True)) / len(right),
            "corpus_chrf": 100.0 if said == right else corpus_chrf(said, [right]).score,
            "bleu": bleu(said, right),
        }


def bleu(answers: Sequence[str], wanted: Sequence[str]) -> float:
    """Corpus BLEU, 0 to 100: sacrebleu's of words, with characters as words where a script has no spaces between them.

    Orders of n-grams that no answer is long enough for are left out: right answers of two words are not wrong.
    """
    from sacrebleu.metrics.bleu import BLEU

    chinese = any(_HAN.search(text) for text in wanted)
    spread = [[_UNSPACED.sub(r" \1 ", text) for text in texts] for texts in (answers, wanted)]
    if list(answers) == list(wanted):
        return 100.0  # empty ones too
    return float(
        BLEU(tokenize="zh" if chinese else "13a", effective_order=True).corpus_score(spread[0], spread[1:]).score
    )


def _chrf(answer: str, wanted: str) -> float:
    from sacrebleu import sentence_chrf

    return 100.0 if answer == wanted else float(sentence_chrf(answer, [wanted]).score)


def _composed(text: str) -> str:
    """One way of writing é, and no space around."""
    return unicodedata.normalize("NFC", text).strip()


METRIC = ChrF()
