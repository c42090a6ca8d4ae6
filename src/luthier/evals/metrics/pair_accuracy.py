"""Whether a model finds the preferred of two answers likelier: its tokens' mean log-probability decides.

The same rule for whatever was adapted, so that rows can be compared; an adapted model that gives a number judges by it.
Beside it stands the accuracy by summed log-probabilities, which a longer answer lowers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from luthier.core.errors import LuthierError
from luthier.core.lm import LM
from luthier.core.metric import Metric, Scores
from luthier.core.records import Compared, Judged, Message, Record
from luthier.core.split import Split
from luthier.evals.judging import Pair, ahead


class PairAccuracy(Metric):
    """1 where the preferred answer is likelier, one half where both are the same, else 0; of a ranking the mean.

    A thumb is held against every opposite one: the mean over all is the area under the curve of ROC.
    """

    name = "pair_accuracy"
    title = "Pairs told right, %"
    tasks = ("preference",)
    meaning = (
        "Pairs told right is the share of pairs of answers whose preferred one the model finds likelier, by the mean "
        "log-probability of its tokens: 50 is chance."
    )

    def scores(self, lm: LM, data: Split, rows: Sequence[Record]) -> Scores:
        compared = comparisons(rows)
        if "prefers" in lm.can:
            judge: Any = lm
            return _judged(self.name, compared, judge.prefers([Pair(*pair) for pair in compared.sides()]))
        if lm.output == "reward":
            asked: list[Any] = [(*messages, Message("assistant", text)) for messages, text in compared.answers]
            numbers = lm.predict(asked, ())[:, 0].tolist() if asked else []
            return _scored(self.name, compared, numbers)
        if "logprobs" not in lm.can:
            raise LuthierError("this model gives no likelihood of an answer")
        found = lm.logprobs(compared.answers)
        means = [float(x.mean()) if len(x) else -float("inf") for x in found]
        sums = fmean(compared.right([float(x.sum()) for x in found]))
        return _scored(self.name, compared, means, pair_accuracy_by_sums=sums)


@dataclass(frozen=True)
class Comparisons:
    """What rows compare. answers: each once, behind its conversation. pairs: of each row, places in `answers` of the

    better and the worse answer.
    """

    answers: list[tuple[tuple[Message, ...], str]]
    pairs: list[list[tuple[int, int]]]

    def right(self, numbers: Sequence[float]) -> list[float]:
        """The share of each row's pairs whose better answer has the higher number; a tie or no pair counts half."""
        return [fmean([ahead(numbers[i], numbers[j]) for i, j in pairs] or [0.5]) for pairs in self.pairs]

    def sides(self) -> Iterator[tuple[tuple[Message, ...], str, str]]:
        """Conversation, better and worse answer of every pair of one conversation; row by row."""
        for i, j in (pair for pairs in self.pairs for pair in pairs):
            yield self.answers[i][0], self.answers[i][1], self.answers[j][1]


def comparisons(rows: Sequence[Record]) -> Comparisons:
    """The pairs of each row: its own, or those of a thumb and every opposite one (to the same prompt where one is)."""
    answers: list[tuple[tuple[Message, ...], str]] = []
    pairs: list[list[tuple[int, int]]] = []
    thumbs: list[tuple[int, int, Judged]] = []
    for row, record in enumerate(rows):
        start = len(answers)
        if isinstance(record, Compared):
            answers += [(record.messages, text) for text in record.answers]
            pairs.append([(start + i, start + j) for i, j in record.pairs])
        elif isinstance(record, Judged):
            answers.append((record.messages, record.reply.said))
            thumbs.append((row, start, record))
            pairs.append([])
    for row, at, record in thumbs:
        others = [(place, other) for _, place, other in thumbs if other.good is not record.good]
        own = [place for place, other in others if other.messages == record.messages]
        places = own or [place for place, _ in others]
        pairs[row] = [(at, place) if record.good else (place, at) for place in places]
    return Comparisons(answers, pairs)


def _judged(name: str, compared: Comparisons, found: Sequence[float]) -> Scores:
    """Scores of rows by how likely the better answer of each of their pairs is found to be that."""
    left = iter(found)
    rows = [[next(left) for _ in pairs] for pairs in compared.pairs]
    right = [fmean([ahead(p, 1 - p) for p in row] or [0.5]) for row in rows]
    margin = fmean(fmean([2 * p - 1 for p in row] or [0.0]) for row in rows)
    shown = [f"{fmean(row or [0.5]):.2f}" for row in rows]
    return Scores(name, right, shown, {"pair_margin": margin})


def _scored(name: str, compared: Comparisons, numbers: Sequence[float], **more: float) -> Scores:
    """Scores of rows by a number for each answer."""
    right = compared.right(numbers)
    margin = fmean(fmean([numbers[i] - numbers[j] for i, j in pairs] or [0.0]) for pairs in compared.pairs)
    answers = [_shown(pairs, numbers) for pairs in compared.pairs]
    return Scores(name, right, answers, {**more, "pair_margin": margin})


def _shown(pairs: Sequence[tuple[int, int]], numbers: Sequence[float]) -> str:
    """What was found of a row: the numbers of a pair, the better answer's first, or how many pairs were told right."""
    if len(pairs) == 1:
        ((i, j),) = pairs
        return f"{numbers[i]:.3g} / {numbers[j]:.3g}"
    return f"{sum(ahead(numbers[i], numbers[j]) for i, j in pairs):g} of {len(pairs)}"


METRIC = PairAccuracy()
