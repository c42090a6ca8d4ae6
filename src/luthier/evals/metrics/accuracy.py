"""Share of rows whose most likely label is the right one."""

from __future__ import annotations

from collections.abc import Sequence

from luthier.evals.metric import Metric, Scores
from luthier.protocols import LM, Labelled, Record, Split

NO_LABEL = ""


class Accuracy(Metric):
    """1 or 0 a row; macro-F1 beside it."""

    name = "accuracy"
    title = "Accuracy, %"
    tasks = ("classification",)
    meaning = "Accuracy is the share of test rows labelled right, in per cent; differences are in points."

    def scores(self, lm: LM, data: Split, rows: Sequence[Record]) -> Scores:
        from sklearn.metrics import f1_score

        labelled = [r for r in rows if isinstance(r, Labelled)]
        found = lm.predict([r.text for r in labelled], data.labels)
        # a model that was asked for the label may have named none: that row has no label, and is wrong
        chosen = [data.labels[int(row.argmax())] if bool(row.isfinite().any()) else NO_LABEL for row in found]
        wanted = [r.label for r in labelled]
        names = sorted({*wanted, *chosen} - {NO_LABEL})
        f1 = float(f1_score(wanted, chosen, labels=names, average="macro", zero_division=0))
        per_row = [float(a == b) for a, b in zip(wanted, chosen, strict=True)]
        return Scores(self.name, per_row, chosen, {"macro_f1": f1}, found)


METRIC = Accuracy()
