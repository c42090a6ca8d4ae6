"""Share of rows whose most likely label is the right one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from luthier.core.lm import LM
from luthier.core.metric import Metric, Scores
from luthier.core.records import Labelled, Record
from luthier.core.split import Split

if TYPE_CHECKING:
    from torch import Tensor

NO_LABEL = ""


class Accuracy(Metric):
    """1 or 0 a row; macro-F1 beside it."""

    name = "accuracy"
    title = "Accuracy, %"
    tasks = ("classification",)
    meaning = "Accuracy is the share of test rows labelled right, in per cent; differences are in points."

    def scores(self, lm: LM, data: Split, rows: Sequence[Record]) -> Scores:
        wanted, chosen, found = labelled(lm, data, rows)
        return Scores(self.name, right(wanted, chosen), chosen, {"macro_f1": macro_f1(wanted, chosen)}, found)


def labelled(lm: LM, data: Split, rows: Sequence[Record]) -> tuple[list[str], list[str], Tensor]:
    """The wanted labels, the most likely ones, and their log-probabilities.

    A model that was asked for the label may have named none: that row has no label, and is wrong.
    """
    records = [r for r in rows if isinstance(r, Labelled)]
    found = lm.predict([r.text for r in records], data.labels)
    chosen = [data.labels[int(row.argmax())] if bool(row.isfinite().any()) else NO_LABEL for row in found]
    return [r.label for r in records], chosen, found


def right(wanted: Sequence[str], chosen: Sequence[str]) -> list[float]:
    """1 where the label is the wanted one."""
    return [float(a == b) for a, b in zip(wanted, chosen, strict=True)]


def macro_f1(wanted: Sequence[str], chosen: Sequence[str]) -> float:
    """Mean F1 of all labels that a row wants or got."""
    from sklearn.metrics import f1_score

    return float(f1_score(wanted, chosen, labels=named(wanted, chosen), average="macro", zero_division=0))


def named(wanted: Sequence[str], chosen: Sequence[str]) -> list[str]:
    """All labels that a row wants or got."""
    return sorted({*wanted, *chosen} - {NO_LABEL})


def balanced(wanted: Sequence[str], chosen: Sequence[str]) -> list[float]:
    """A right row weighs N / (labels · rows of its label), so that the mean is the mean recall of the labels."""
    size = {label: wanted.count(label) for label in set(wanted)}
    weight = {label: len(wanted) / (len(size) * n) for label, n in size.items()}
    return [weight[w] * hit for w, hit in zip(wanted, right(wanted, chosen), strict=True)]


METRIC = Accuracy()
