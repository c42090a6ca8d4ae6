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
from luthier.core.records import Preference, Record, Split


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
            asked: list[Any] = [conversation for pair in pairs for conversation in pair.conversations]
            numbers = _two(lm.predict(asked, ())[:, 0].tolist())
            return _scored(self.name, numbers, [f"{good:.3g} / {bad:.3g}" for good, bad in numbers])
        if "logprobs" not in lm.can:
            raise LuthierError("this model gives no likelihood of an answer")
        found = lm.logprobs([(pair.asked, text) for pair in pairs for text in (pair.chosen, pair.rejected)])
        means = [float(x.mean()) if len(x) else -float("inf") for x in found]
        told = [_told(*both) for both in _two([float(x.sum()) for x in found])]
        answers = [{1.0: "chosen", 0.0: "rejected"}.get(_told(*both), "") for both in _two(means)]
        return _scored(self.name, _two(means), answers, pair_accuracy_by_sums=sum(told) / max(len(told), 1))


def _scored(name: str, pairs: Sequence[tuple[float, float]], answers: list[str], **more: float) -> Scores:
    """Scores of what was found of each pair, the preferred answer first."""
    margin = sum(good - bad for good, bad in pairs) / max(len(pairs), 1)
    return Scores(name, [_told(*pair) for pair in pairs], answers, {**more, "pair_margin": margin})


def _two(values: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip(values[::2], values[1::2], strict=True))


def _told(good: float, bad: float) -> float:
    return float(good > bad) + 0.5 * float(good == bad)


METRIC = PairAccuracy()
