"""Share of rows whose most likely label is the right one."""

from __future__ import annotations

from collections.abc import Sequence

from luthier.evals.metric import Metric, Scores
from luthier.protocols import LM, Labelled, Record, Split


class Accuracy(Metric):
    """1 or 0 a row; macro-F1 beside it."""

    name = "accuracy"
    title = "Accuracy, %"
    tasks = ("classification",)
    meaning = "Accuracy is the share of test rows labelled right, in per cent; differences are in points."

    def scores(self, lm: LM, data: Split, rows: Sequence[Record]) -> Scores:
        from sklearn.metrics import f1_score

        labelled = [r for r in rows if isinstance(r, Labelled)]
        found = lm.predict([r.text for r in labelled], data.labels).argmax(-1)
        chosen = [data.labels[int(i)] for i in found]
        wanted = [r.label for r in labelled]
        f1 = float(f1_score(wanted, chosen, average="macro", zero_division=0))
        return Scores(self.name, [float(a == b) for a, b in zip(wanted, chosen, strict=True)], chosen, {"macro_f1": f1})


METRIC = Accuracy()
