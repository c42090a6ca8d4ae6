"""What a label may be, one class a kind: a pair, a ranking, ratings, an edited answer.

A class reads what the page sends, where answers stand in the order that was shown, into a value in the question's own
order; says which rows of a file it becomes; which items it decides, for agreement; and what several labels of one
question come to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import mean
from typing import Any, ClassVar, Protocol

from luthier.core.errors import LuthierError
from luthier.feedback.questions import MOST, Question

Value = dict[str, Any]  # a label as the database holds it
Row = dict[str, Any]  # a line of an exported file
Order = Sequence[int]  # places of the answers in the question, in the order that was shown
BEST = 5  # of a rating; 1 is the worst
LONGEST = 200_000  # characters of an edited answer


class Kind(Protocol):
    """What a project asks for."""

    name: ClassVar[str]
    most: ClassVar[int]  # answers of a question
    distance: ClassVar[bool]  # whether items are numbers, so that disagreement has a size
    forms: ClassVar[Mapping[str, Callable[[Question, Value], list[Row]]]]  # of rows, the usual one first

    def read(self, said: Any, order: Order) -> Value:
        """The value of what the page sent. Raises LuthierError where it is none."""

    def shown(self, value: Value, order: Order) -> Any:
        """What the page sent for a value: the inverse of `read`."""

    def items(self, value: Value) -> dict[str, Any]:
        """What it decides, by item: texts or, with `distance`, numbers."""

    def together(self, values: Sequence[Value]) -> Value | None:
        """What several labels of one question come to; None where there is no majority."""


def in_order(values: Sequence[Any], order: Order) -> list[Any]:
    """Values of the answers as shown, in the question's order."""
    out: list[Any] = [None] * len(order)
    for at, value in zip(order, values, strict=True):
        out[at] = value
    return out


def dense(ranks: Sequence[float]) -> list[int]:
    """Ranks as 1, 2, 2, 3: without gaps, equal ones equal."""
    places = {rank: at for at, rank in enumerate(sorted({*ranks}), 1)}
    return [places[rank] for rank in ranks]


def pairs_of_ranks(question: Question, ranks: Sequence[int]) -> list[Row]:
    """A row for every two answers: the better and the worse, or a tie."""
    rows: list[Row] = []
    for i, j in combinations(range(len(ranks)), 2):
        if ranks[i] == ranks[j]:
            rows.append(_ranked(question, (i, j), [1, 1]))
            continue
        good, bad = (i, j) if ranks[i] < ranks[j] else (j, i)
        rows.append(_chosen(question, question.answers[good], question.answers[bad], (good, bad)))
    return rows


def _chosen(question: Question, chosen: str, rejected: str, places: tuple[int, ...] = ()) -> Row:
    names = ("chosen_source", "rejected_source")
    sources = {name: question.sources[i] for name, i in zip(names, places, strict=False)} if question.sources else {}
    return {"prompt": question.prompt, "chosen": chosen, "rejected": rejected, **sources}


def _ranked(question: Question, places: Sequence[int], ranks: Sequence[int]) -> Row:
    return {**_answers(question, places), "ranks": list(ranks)}


def _answers(question: Question, places: Sequence[int]) -> Row:
    sources = {"sources": [question.sources[i] for i in places]} if question.sources else {}
    return {"prompt": question.prompt, "answers": [question.answers[i] for i in places], **sources}


def _ranking_row(question: Question, value: Value) -> list[Row]:
    return [_ranked(question, range(len(question.answers)), value["ranks"]) | _verdict(value)]


def _ranks_as_pairs(question: Question, value: Value) -> list[Row]:
    return [row | (_verdict(value) if "ranks" in row else {}) for row in pairs_of_ranks(question, value["ranks"])]


def _verdict(value: Value) -> Row:
    return {"verdict": value["verdict"]} if "verdict" in value else {}


def _ranks_of_scores(value: Value) -> list[int]:
    return dense([-score for score in value["scores"]])


def _numbers(said: Any, count: int, most: int, what: str) -> list[int]:
    """As many whole numbers from 1 to `most`. Raises LuthierError."""
    good = isinstance(said, list) and len(said) == count
    if not good or not all(type(each) is int and 1 <= each <= most for each in said):
        raise LuthierError(f"{what}: {count} whole numbers from 1 to {most} are wanted")
    return list(said)


@dataclass(frozen=True)
class Pair:
    """Which of two answers is better: left, right, tie, neither. A value is {"ranks": [1, 2]}, with its verdict."""

    name: ClassVar[str] = "pair"
    most: ClassVar[int] = 2
    distance: ClassVar[bool] = False
    forms: ClassVar[Mapping[str, Callable[[Question, Value], list[Row]]]] = {
        "pair": _ranks_as_pairs, "ranking": _ranking_row,
    }  # fmt: skip
    verdicts: ClassVar[Mapping[str, list[int]]] = {
        "left": [1, 2], "right": [2, 1], "tie": [1, 1], "neither": [1, 1],
    }  # fmt: skip

    def read(self, said: Any, order: Order) -> Value:
        if not isinstance(said, str) or said not in self.verdicts:
            raise LuthierError(f"a pair's label is one of {', '.join(self.verdicts)}")
        ranks = in_order(self.verdicts[said], order)
        return {"ranks": ranks} | ({"verdict": "neither"} if said == "neither" else {})

    def shown(self, value: Value, order: Order) -> Any:
        if "verdict" in value:
            return value["verdict"]
        ranks = [value["ranks"][i] for i in order]
        return next(name for name, each in self.verdicts.items() if each == ranks)

    def items(self, value: Value) -> dict[str, Any]:
        tied = value.get("verdict", "tie")
        return {"": {(1, 2): "first", (2, 1): "second"}.get(tuple(value["ranks"]), tied)}

    def together(self, values: Sequence[Value]) -> Value | None:
        """The label that more than half gave."""
        said = Counter(self.items(value)[""] for value in values)
        word, count = said.most_common(1)[0]
        return next(v for v in values if self.items(v)[""] == word) if 2 * count > len(values) else None


class _Numbers:
    """What rankings and ratings share: a value is a number an answer, under `key`."""

    key: ClassVar[str]

    def shown(self, value: Value, order: Order) -> Any:
        return [value[self.key][i] for i in order]

    def means(self, values: Sequence[Value]) -> list[float]:
        """The mean of each answer's numbers, over several labels."""
        return [mean(column) for column in zip(*(v[self.key] for v in values), strict=True)]


@dataclass(frozen=True)
class Ranking(_Numbers):
    """All answers from best to worst, ties allowed. A value is {"ranks": [2, 1, 1]}; 1 is the best."""

    name: ClassVar[str] = "ranking"
    key: ClassVar[str] = "ranks"
    most: ClassVar[int] = MOST
    distance: ClassVar[bool] = False
    forms: ClassVar[Mapping[str, Callable[[Question, Value], list[Row]]]] = {
        "ranking": _ranking_row, "pair": _ranks_as_pairs,
    }  # fmt: skip

    def read(self, said: Any, order: Order) -> Value:
        return {"ranks": dense(in_order(_numbers(said, len(order), len(order), "a ranking"), order))}

    def items(self, value: Value) -> dict[str, Any]:
        """Which of every two answers is better."""
        ranks, words = value["ranks"], {-1: "first", 0: "tie", 1: "second"}
        pairs = combinations(range(len(ranks)), 2)
        return {f"{i + 1}:{j + 1}": words[(ranks[i] > ranks[j]) - (ranks[i] < ranks[j])] for i, j in pairs}

    def together(self, values: Sequence[Value]) -> Value | None:
        """The order of the mean ranks."""
        return {"ranks": dense(self.means(values))}


@dataclass(frozen=True)
class Rating(_Numbers):
    """1 to 5 for each answer; 5 is the best. A value is {"scores": [4, 2]}."""

    name: ClassVar[str] = "rating"
    key: ClassVar[str] = "scores"
    most: ClassVar[int] = MOST
    distance: ClassVar[bool] = True
    forms: ClassVar[Mapping[str, Callable[[Question, Value], list[Row]]]] = {
        "rating": lambda q, v: [_answers(q, range(len(q.answers))) | {"scores": v["scores"]}],
        "ranking": lambda q, v: [_ranked(q, range(len(q.answers)), _ranks_of_scores(v))],
        "pair": lambda q, v: pairs_of_ranks(q, _ranks_of_scores(v)),
    }

    def read(self, said: Any, order: Order) -> Value:
        return {"scores": in_order(_numbers(said, len(order), BEST, "ratings"), order)}

    def items(self, value: Value) -> dict[str, Any]:
        return {str(i): score for i, score in enumerate(value["scores"], 1)}

    def together(self, values: Sequence[Value]) -> Value | None:
        """The mean of each answer's scores."""
        return {"scores": self.means(values)}


def _edit_row(question: Question, value: Value) -> list[Row]:
    at = value["better"]
    source = {"source": question.sources[at]} if question.sources else {}
    return [{"prompt": question.prompt, "original": question.answers[at], "edited": value["edited"], **source}]


def _edit_as_pairs(question: Question, value: Value) -> list[Row]:
    """The edited answer over what it was made of, and the chosen one over the others."""
    best, answers = value["better"], question.answers
    rows = [_chosen(question, answers[best], answers[i], (best, i)) for i in range(len(answers)) if i != best]
    if value["edited"] != answers[best]:
        rows.insert(0, _chosen(question, value["edited"], answers[best]))
    return rows


@dataclass(frozen=True)
class Edit:
    """The best answer, edited. A value is {"better": 0, "edited": TEXT}; a text may stay as it was."""

    name: ClassVar[str] = "edit"
    most: ClassVar[int] = MOST
    distance: ClassVar[bool] = False
    forms: ClassVar[Mapping[str, Callable[[Question, Value], list[Row]]]] = {
        "edit": _edit_row, "pair": _edit_as_pairs,
    }  # fmt: skip

    def read(self, said: Any, order: Order) -> Value:
        better, edited = (said.get("better"), said.get("edited")) if isinstance(said, dict) else (None, None)
        if type(better) is not int or not 0 <= better < len(order):
            raise LuthierError("an edit names the better answer by its place")
        if not isinstance(edited, str) or not edited.strip() or len(edited) > LONGEST:
            raise LuthierError(f"an edited answer is a text of 1 to {LONGEST:,} characters")
        return {"better": order[better], "edited": edited}

    def shown(self, value: Value, order: Order) -> Any:
        return {"better": list(order).index(value["better"]), "edited": value["edited"]}

    def items(self, value: Value) -> dict[str, Any]:
        """Which answer is the best."""
        return {"": str(value["better"] + 1)}

    def together(self, values: Sequence[Value]) -> Value | None:
        raise LuthierError("--majority: edits have none, since each is a text of its own; leave it out")


KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (Pair(), Ranking(), Rating(), Edit())}


def kind_of(name: str) -> Kind:
    """A kind by its name. Raises LuthierError."""
    if name not in KINDS:
        raise LuthierError(f"--kind {name}: it is one of {', '.join(KINDS)}")
    return KINDS[name]
