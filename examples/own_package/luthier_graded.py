"""Accuracy of labels that have an order: next to the right one counts half."""

from __future__ import annotations

from typing import Any

from luthier.core.metric import Metric, Scores

ORDER = ("negative", "neutral", "positive")


class Graded(Metric):
    """1 for the right label, 1/2 for its neighbour, 0 for the opposite."""

    name = "graded"
    title = "Graded accuracy, %"
    tasks = ("classification",)
    meaning = "Graded accuracy counts a label next to the right one as half right, in per cent."

    def scores(self, lm: Any, data: Any, rows: Any) -> Scores:
        shares = lm.predict([row.text for row in rows], data.labels)
        chosen = [data.labels[int(row.argmax())] for row in shares]
        apart = [abs(ORDER.index(row.label) - ORDER.index(label)) for row, label in zip(rows, chosen, strict=True)]
        return Scores(self.name, [1 - distance / 2 for distance in apart], chosen, {}, shares)


METRIC = Graded()
