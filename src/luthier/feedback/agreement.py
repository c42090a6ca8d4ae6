"""How far annotators agree: percentage, Cohen's kappa for two, Krippendorff's alpha for all, by NLTK.

Kappa and alpha are 1 for full agreement and 0 for what chance gives. Items are what a label decides (`Kind.items`): a
pair's verdict, each two answers of a ranking, each answer's rating. Ratings have a distance, so alpha is the interval
one there. Sources: Cohen 1960; Krippendorff 2011.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from luthier.feedback.export import Label
from luthier.feedback.kinds import Kind

FEW = 20  # questions that two have labelled, below which neither number says much


@dataclass(frozen=True)
class Pair:
    """Two annotators. questions: that both labelled; share: of their items that are the same.

    kappa: None where both gave one and the same label throughout, so that chance is not to be told from agreement.
    """

    one: str
    two: str
    questions: int
    share: float
    kappa: float | None

    @property
    def few(self) -> bool:
        """Whether there is too little to tell."""
        return self.questions < FEW


@dataclass(frozen=True)
class Agreement:
    """questions: that two or more labelled. alpha: None where there is none, or all labels are one and the same."""

    annotators: int
    questions: int
    share: float
    alpha: float | None
    pairs: tuple[Pair, ...]

    @property
    def few(self) -> bool:
        """Whether there is too little to tell."""
        return self.questions < FEW


Items = Mapping[tuple[int, str], Any]  # (question, item) -> what was said


def agreement(kind: Kind, labels: Sequence[Label]) -> Agreement:
    """Over all who labelled, models included."""
    said: dict[str, dict[tuple[int, str], Any]] = defaultdict(dict)
    by: dict[int, set[str]] = defaultdict(set)
    for label in labels:
        by[label.question].add(label.annotator)
        for item, value in kind.items(label.value).items():
            said[label.annotator][label.question, item] = value
    pairs = [_pair(one, two, said[one], said[two]) for one, two in combinations(sorted(said), 2)]
    some = tuple(pair for pair in pairs if pair.questions)
    compared = [same for one, two in combinations(sorted(said), 2) for same in _same(said[one], said[two])]
    return Agreement(
        len(said), sum(len(names) > 1 for names in by.values()),
        sum(compared) / len(compared) if compared else 0.0, _alpha(said, kind.distance), some,
    )  # fmt: skip


def _same(one: Items, two: Items) -> list[bool]:
    return [one[item] == two[item] for item in one.keys() & two.keys()]


def _pair(one: str, two: str, first: Items, second: Items) -> Pair:
    from nltk.metrics.agreement import AnnotationTask

    both = sorted(first.keys() & second.keys())
    same = _same(first, second)
    values = {first[item] for item in both} | {second[item] for item in both}
    kappa = None
    if len(values) > 1:
        data = [(name, item, said[item]) for name, said in (("1", first), ("2", second)) for item in both]
        kappa = float(AnnotationTask(data).kappa_pairwise("1", "2"))
    return Pair(one, two, len({question for question, _ in both}), sum(same) / len(same) if same else 0.0, kappa)


def _alpha(said: Mapping[str, Items], distance: bool) -> float | None:
    from nltk.metrics.agreement import AnnotationTask
    from nltk.metrics.distance import binary_distance, interval_distance

    data = [(name, item, value) for name, items in said.items() for item, value in items.items()]
    counts: dict[Any, int] = defaultdict(int)
    for _, item, _ in data:
        counts[item] += 1
    shared = [each for each in data if counts[each[1]] > 1]
    if len({value for _, _, value in shared}) < 2:
        return None
    return float(AnnotationTask(shared, distance=interval_distance if distance else binary_distance).alpha())
