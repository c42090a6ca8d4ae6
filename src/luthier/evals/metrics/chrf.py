"""chrF of each answer (character n-grams, Popović 2015), by sacrebleu; corpus chrF, BLEU and exact match beside it."""

from __future__ import annotations

from collections.abc import Sequence

from luthier.evals.metric import TextMetric


class ChrF(TextMetric):
    """0 to 100 a row. BLEU counts Chinese by characters where a wanted answer holds any."""

    name = "chrF"
    title = "chrF"
    unit = "points"
    meaning = "chrF compares letter sequences with the reference answer: 0 is nothing in common, 100 the same text."

    def per_row(self, answers: Sequence[str], wanted: Sequence[str]) -> list[float]:
        from sacrebleu import sentence_chrf

        return [sentence_chrf(a, [w]).score for a, w in zip(answers, wanted, strict=True)]

    def secondary(self, answers: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
        from sacrebleu import corpus_bleu, corpus_chrf

        chinese = any("\u4e00" <= c <= "\u9fff" for w in wanted for c in w)
        return {
            "exact_match": sum(a.strip() == w.strip() for a, w in zip(answers, wanted, strict=True)) / len(wanted),
            "corpus_chrf": corpus_chrf(answers, [wanted]).score,
            "bleu": corpus_bleu(answers, [wanted], tokenize="zh" if chinese else "13a").score,
        }


METRIC = ChrF()
