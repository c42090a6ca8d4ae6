"""Whether a model finds the preferred of two answers likelier: its tokens' mean log-probability decides.

The same rule for whatever was adapted, so that rows can be compared; an adapted model that gives a number judges by it.
Beside it stands the accuracy by summed log-probabilities, which a longer answer lowers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from luthier.core.errors import LuthierError
from luthier.core.lm import LM
from luthier.core.metric import Metric, Scores
from luthier.core.records import Message, Preference, Record, Split


class PairAccuracy(Metric):
    """1 where the preferred answer is likelier, one half where both are the same, else 0."""

    name = "pair_accuracy"
    title = "Pairs told right, %"
    tasks = ("preference",)
    meaning = (
        "Pairs told right is the share of pairs of answers whose preferred one the model finds likelier, by the mean "
        "log-probability of its tokens: 50 is chance."
    )

    def scores(self, lm: LM, data: Split, rows: Sequence[Record]) -> Scores:
        pairs = [row for row in rows if isinstance(row, Preference)]
        if lm.output == "reward":
            return _by_number(self.name, lm, pairs)
        if "logprobs" not in lm.can:
            raise LuthierError("this model gives no likelihood of an answer")
        said = [(row.asked, text) for row in pairs for text in (row.chosen, row.rejected)]
        found = lm.logprobs(said)
        means = [float(x.mean()) if len(x) else -float("inf") for x in found]
        sums = [float(x.sum()) for x in found]
        per_row = [_told(*both) for both in zip(means[::2], means[1::2], strict=True)]
        by_sums = [_told(*both) for both in zip(sums[::2], sums[1::2], strict=True)]
        margins = [a - b for a, b in zip(means[::2], means[1::2], strict=True)]
        answers = ["chosen" if x == 1 else "rejected" if x == 0 else "" for x in per_row]
        secondary = {
            "pair_accuracy_by_sums": sum(by_sums) / max(len(by_sums), 1),
            "pair_margin": sum(margins) / max(len(margins), 1),
        }
        return Scores(self.name, per_row, answers, secondary)


def _by_number(name: str, lm: LM, pairs: Sequence[Preference]) -> Scores:
    asked: list[Any] = [(*r.messages, Message("assistant", text)) for r in pairs for text in (r.chosen, r.rejected)]
    found = lm.predict(asked, ())[:, 0].tolist()
    margins = [a - b for a, b in zip(found[::2], found[1::2], strict=True)]
    per_row = [_told(*both) for both in zip(found[::2], found[1::2], strict=True)]
    answers = [f"{a:.3g} / {b:.3g}" for a, b in zip(found[::2], found[1::2], strict=True)]
    return Scores(name, per_row, answers, {"pair_margin": sum(margins) / max(len(margins), 1)})


def _told(good: float, bad: float) -> float:
    return float(good > bad) + 0.5 * float(good == bad)


METRIC = PairAccuracy()
