"""F1 of the set of labels of each row, averaged over rows; micro- and macro-F1 beside it.

A label is given where its own probability is above a half. Source: example-based F1, Godbole & Sarawagi 2004.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from luthier.core.lm import LM
from luthier.core.metric import Metric, Scores
from luthier.core.records import Record, Tagged
from luthier.core.split import Split


class LabelF1(Metric):
    """2 |given ∩ wanted| / (|given| + |wanted|) a row, and 1 where both are empty."""

    name = "label_f1"
    title = "Label F1, %"
    tasks = ("multilabel",)
    meaning = (
        "Label F1 weighs the labels given to a row against the right ones: 100 is all of them and no other, 0 none."
    )

    def scores(self, lm: LM, data: Split, rows: Sequence[Record]) -> Scores:
        from sklearn.metrics import f1_score

        tagged = [r for r in rows if isinstance(r, Tagged)]
        given = chosen(lm, [r.text for r in tagged], data.labels)
        names = sorted({*data.labels, *(t for r in tagged for t in r.tags)})  # a test row may have an unseen label
        wanted_rows = [[int(n in r.tags) for n in names] for r in tagged]
        given_rows = [[int(n in g) for n in names] for g in given]
        secondary = {
            f"{kind}_f1": float(f1_score(wanted_rows, given_rows, average=kind, zero_division=0))
            for kind in ("micro", "macro")
        }
        exact = [set(g) == set(r.tags) for g, r in zip(given, tagged, strict=True)]
        secondary["all_labels_right"] = sum(exact) / len(exact)
        per_row = [set_f1(g, r.tags) for g, r in zip(given, tagged, strict=True)]
        return Scores(self.name, per_row, [", ".join(g) for g in given], secondary)


def chosen(lm: LM, texts: Sequence[str], labels: Sequence[str]) -> list[tuple[str, ...]]:
    """The labels of each text whose own probability is above a half, in the order of `labels`."""
    found = lm.predict(texts, labels) > math.log(0.5)
    return [tuple(label for label, yes in zip(labels, row, strict=True) if yes) for row in found.tolist()]


def set_f1(given: Collection[str], wanted: Collection[str]) -> float:
    """F1 of two sets; 1 when both are empty."""
    given, wanted = set(given), set(wanted)
    if not given and not wanted:
        return 1.0
    return 2 * len(given & wanted) / (len(given) + len(wanted))


METRIC = LabelF1()
