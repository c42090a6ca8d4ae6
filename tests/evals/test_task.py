"""Scores of adapted models: predictions and answers of a stand-in whose every answer is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import tiny
from luthier.core.records import Chat, Message, Rated, Tagged
from luthier.core.split import Split
from luthier.evals.task import answer_room, evaluate
from luthier.models.causal import CausalLM


class Known:
    """An adapted model that gives what it was told."""

    can = frozenset({"predict", "generate"})

    def __init__(self, predicted: Tensor | None = None, answers: Sequence[str] = ()) -> None:
        self.predicted, self.answers = predicted, list(answers)

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> Any:
        return self.predicted

    def generate(self, prompts: Sequence[Any], sampling: Any) -> list[str]:
        assert len(prompts) == len(self.answers)
        return self.answers


def test_several_labels() -> None:
    """By hand, and micro- and macro-F1 by counting. Seen failing with the threshold at e^-1 instead of a half."""
    rows = [Tagged("1", ("a", "b")), Tagged("2", ()), Tagged("3", ("c",)), Tagged("4", ("a", "new"))]
    shares = torch.tensor([[0.9, 0.4, 0.1], [0.49, 0.1, 0.2], [0.51, 0.2, 0.8], [0.6, 0.1, 0.1]])
    data = Split("multilabel", (), (), labels=("a", "b", "c"))
    scores = evaluate(Known(shares.log()), data, rows)  # type: ignore[arg-type]
    assert scores.answers == ["a", "", "a, c", "a"]
    assert scores.per_row == pytest.approx([2 / 3, 1.0, 2 / 3, 2 / 3]) and scores.metric == "label_f1"
    right, given, wanted = 3, 4, 5
    assert scores.secondary["micro_f1"] == pytest.approx(2 * right / (given + wanted))
    by_label = [2 * 2 / (3 + 2), 0.0, 1.0, 0.0]  # a, b, c, new
    assert scores.secondary["macro_f1"] == pytest.approx(sum(by_label) / 4)
    assert scores.secondary["all_labels_right"] == 0.25


def test_numbers() -> None:
    """Seen failing with the deviation of the test rows as the unit."""
    train = tuple(Rated(str(v), v) for v in (0.0, 10.0, 20.0, 30.0, 100.0))  # median 20: deviations 20, 10, 0, 10, 80
    rows = [Rated("1", 10.0), Rated("2", 50.0), Rated("3", 0.0)]
    given = torch.tensor([[10.0], [26.0], [48.0]])
    scores = evaluate(Known(given), Split("regression", train, ()), rows)  # type: ignore[arg-type]
    assert scores.per_row == pytest.approx([1.0, 0.0, -1.0]) and scores.metric == "mae_skill"
    assert scores.secondary["mae"] == pytest.approx(24)
    assert scores.secondary["rmse"] == pytest.approx(math.sqrt((24**2 + 48**2) / 3))
    assert scores.answers == ["10", "26", "48"]


def test_the_median_scores_nothing_on_the_training_rows() -> None:
    train = tuple(Rated(str(v), v) for v in (1.0, 2.0, 4.0, 8.0, 16.0))
    scores = evaluate(Known(torch.full((5, 1), 4.0)), Split("regression", train, ()), train)  # type: ignore[arg-type]
    assert scores.score == pytest.approx(0) and scores.secondary["pearson"] == 0


@pytest.mark.parametrize(
    ("name", "want"),
    [("chrF", [100.0, 0.0]), ("token_f1", [1.0, 0.0]), ("exact_match", [1.0, 0.0]), ("rougeL", [1.0, 0.0])],
)
def test_the_data_names_the_score(name: str, want: list[float]) -> None:
    rows = tiny.CHATS.test
    answers = [rows[0].wanted, "zzz"]
    scores = evaluate(Known(answers=answers), replace(tiny.CHATS, metric=name), rows)  # type: ignore[arg-type]
    assert scores.metric == name and scores.per_row == pytest.approx(want) and scores.answers == answers


def test_of_an_answer_with_reasoning_the_words_alone_are_compared() -> None:
    """There is room for the thoughts, too, and a loss only where the answer follows the question itself."""
    from types import SimpleNamespace

    thought = Chat((Message("user", "2+2?"), Message("assistant", "4", reasoning="two and two " * 20)))
    plain = Chat((Message("user", "1+1?"), Message("assistant", "2")))
    data = Split("generation", (thought, plain), (), metric="exact_match")
    rooms = []

    def generate(prompts: Any, sampling: Any) -> list[str]:
        rooms.append(sampling.max_new_tokens)
        return ["<think>\ntwo and two\n</think>\n\n4", "2"]

    def logprobs(pairs: Any) -> list[Any]:
        assert [answer for _, answer in pairs] == ["2"]
        return [torch.tensor([-1.0])]

    lm: Any = SimpleNamespace(
        generate=generate, logprobs=logprobs, can={"logprobs"},
        tokenizer=lambda text, **_: {"input_ids": text.split()},
    )  # fmt: skip
    scores = evaluate(lm, data, (thought, plain))
    assert scores.per_row == [1.0, 1.0] and scores.secondary["held_out_loss"] == 1.0
    assert rooms[0] == 5 + 76  # one word and sixty


def test_an_answer_is_no_longer_than_was_asked_for(lm: CausalLM) -> None:
    """In training's own evaluation, in comparisons and afterwards: the limit is the data's."""
    long = replace(tiny.CHATS, train=tuple(tiny.CHATS.train))
    assert answer_room(lm, replace(long, answer_tokens=3)) == 3 < answer_room(lm, long)
    assert answer_room(lm, replace(long, answer_tokens=10_000)) == answer_room(lm, long)
