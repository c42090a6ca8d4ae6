"""Mean over labels of the share of their rows that are labelled right: every label counts the same.

Source: Brodersen et al. 2010. It is a weighted mean over rows. The weights are those of the whole set of rows, also
where rows are drawn again: how many rows of a label were drawn is left out of the intervals, which is a fine
approximation (the tests hold it against recounting).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from luthier.core.lm import LM
from luthier.core.metric import Metric, Scores
from luthier.core.records import Record
from luthier.core.split import Split
from luthier.evals.metrics.accuracy import balanced, labelled, macro_f1, right


class BalancedAccuracy(Metric):
    """A row that is right weighs the inverse of its label's share; accuracy and macro-F1 beside it."""

    name = "balanced_accuracy"
    title = "Balanced accuracy, %"
    tasks = ("classification",)
    weighted = True
    meaning = (
        "Balanced accuracy is the share of rows labelled right, taken label by label and averaged over the labels, so "
        "that a rare label counts as much as a common one."
    )

    def scores(self, lm: LM, data: Split, rows: Sequence[Record]) -> Scores:
        wanted, chosen, found = labelled(lm, data, rows)
        beside = {"accuracy": fmean(right(wanted, chosen)), "macro_f1": macro_f1(wanted, chosen)}
        return Scores(self.name, balanced(wanted, chosen), chosen, beside, found)


METRIC = BalancedAccuracy()
