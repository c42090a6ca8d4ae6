"""Mean over labels of the F1 of each: every label counts the same, and answering a common one too often costs.

All labels that a row wants or got are averaged, as in scikit-learn; of the variants of the name this is the mean of F1
scores, not the F1 of means (Opitz & Burst 2019). It is no mean over rows: the bootstrap draws rows and counts anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np

from luthier.core.lm import LM
from luthier.core.metric import CountedMetric, Scores
from luthier.core.records import Record
from luthier.core.split import Split
from luthier.evals.metrics.accuracy import balanced, labelled, named, right


class MacroF1(CountedMetric):
    """A row that is right has 2 N / (labels · (rows that want its label + that got it)), and the mean is macro-F1."""

    name = "macro_f1"
    title = "Macro-F1, %"
    tasks = ("classification",)
    weighted = True
    meaning = (
        "Macro-F1 is the mean over labels of each label's F1 (its rows found, and answers of it that were right), so "
        "that a rare label counts as much as a common one."
    )

    def scores(self, lm: LM, data: Split, rows: Sequence[Record]) -> Scores:
        wanted, chosen, found = labelled(lm, data, rows)
        beside = {"accuracy": fmean(right(wanted, chosen)), "balanced_accuracy": fmean(balanced(wanted, chosen))}
        return Scores(self.name, shares(wanted, chosen), chosen, beside, found, coded(wanted, chosen))

    def resampled(self, codes: Any, shares: Any) -> Any:
        wanted, answered = np.asarray(codes).T
        total, kinds = np.zeros(len(shares)), np.zeros(len(shares))
        for label in range(int(np.max(codes)) + 1):
            want, said = wanted == label, answered == label
            both = shares[:, want].sum(1) + shares[:, said].sum(1)
            total += 2 * shares[:, want & said].sum(1) / np.where(both > 0, both, 1)
            kinds += both > 0
        return total / kinds


def shares(wanted: Sequence[str], chosen: Sequence[str]) -> list[float]:
    """What each row adds to N times macro-F1."""
    size, given, labels = Counter(wanted), Counter(chosen), len(named(wanted, chosen))
    return [
        2 * hit * len(wanted) / (labels * (size[w] + given[w]))
        for w, hit in zip(wanted, right(wanted, chosen), strict=True)
    ]


def coded(wanted: Sequence[str], chosen: Sequence[str]) -> list[list[int]]:
    """The wanted and the given label of each row by number; -1 for none."""
    number = {label: i for i, label in enumerate(named(wanted, chosen))}
    return [[number[w], number.get(a, -1)] for w, a in zip(wanted, chosen, strict=True)]


METRIC = MacroF1()
