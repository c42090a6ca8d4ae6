"""Scores by hand: accuracy and F1, chrF, BLEU, held-out loss; what is lost on general text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import tiny
from luthier.core.records import Prompt, Sampling
from luthier.core.split import Split
from luthier.data.embedded import general_text
from luthier.evals.forgetting import WINDOW, general_loss
from luthier.evals.task import answer_room, evaluate
from luthier.evals.wording import best_wording
from luthier.io.config import options
from luthier.models.base import TrainableLM
from luthier.models.causal import CausalLM
from luthier.objectives.sft import Sft
from luthier.runs import run
from luthier.training.attach import attached


class Scripted:
    """Says what it was told to say."""

    output = "text"

    def __init__(self, *answers: str, logprobs: Sequence[Sequence[float]] = ()) -> None:
        self.answers, self.values = list(answers), logprobs
        self.can = frozenset({"generate", "predict", *(["logprobs"] if logprobs else [])})
        self.asked: list[Prompt] = []
        self.sampling = Sampling()

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        self.asked, self.sampling = list(prompts), sampling
        return self.answers

    def logprobs(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Tensor]:
        assert [p for p, _ in pairs] == self.asked
        return [torch.tensor(v) for v in self.values]

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> Tensor:
        self.asked = list(texts)
        return torch.tensor([[math.log(0.8 if a == b else 0.1) for b in labels] for a in self.answers])

    def save(self, folder: Path) -> None:
        raise AssertionError("scoring saves nothing")


def chats(*answers: str) -> Split:
    rows = tuple(tiny.chat(f"question {i}", a) for i, a in enumerate(answers))
    return Split("generation", train=rows, validation=rows, test=rows)


def chrf(said: str, wanted: str) -> float:
    """chrF2 of one sentence as Popović 2015 has it: character 1- to 6-grams without spaces, recall twice as heavy."""
    shares, texts = [], ["".join(t.split()) for t in (said, wanted)]
    for n in range(1, 7):
        one, two = (Counter(s[i : i + n] for i in range(len(s) - n + 1)) for s in texts)
        if one and two:
            common = sum((one & two).values())
            shares.append((common / sum(one.values()), common / sum(two.values())))
    precision, recall = (sum(s) / len(shares) for s in zip(*shares, strict=True)) if shares else (0.0, 0.0)
    return 100 * 5 * precision * recall / (4 * precision + recall) if precision + recall else 0.0


def test_accuracy_and_f1() -> None:
    """Seen failing with F1 weighted by how often a label occurs."""
    rows = tiny.labelled(("1", "a"), ("2", "a"), ("3", "b"), ("4", "b"), ("5", "c"))
    lm = Scripted("a", "b", "b", "b", "a")
    scores = evaluate(lm, Split("classification", rows, rows, rows, ("c", "b", "a")), rows)
    assert lm.asked == ["1", "2", "3", "4", "5"] and scores.answers == lm.answers
    assert scores.metric == "accuracy" and scores.per_row == [1, 0, 1, 1, 0] and scores.score == 0.6
    # a: precision 1/2, recall 1/2; b: 2/3 and 1; c: never said
    assert scores.secondary == {"macro_f1": pytest.approx((1 / 2 + 4 / 5 + 0) / 3)}
    two = Split("classification", rows[:2], (), (), ("a", "b", "c"))
    assert evaluate(Scripted("a", "a"), two, rows[:2]).secondary == {"macro_f1": 1.0}


def test_generation() -> None:
    """Seen failing with the mean of the rows' mean losses, and with the answers scored against each other's rows."""
    data = chats("the cat sat on the mat", "yes", "abd")
    lm = Scripted("the cat sat on mat", " yes\n", "abc", logprobs=[[-1, -2, -3], [-4], [-2, -0.5]])
    scores = evaluate(lm, data, data.test)
    by_hand = [chrf(a, w) for a, w in zip(lm.answers, ("the cat sat on the mat", "yes", "abd"), strict=True)]
    assert scores.per_row == pytest.approx(by_hand)
    assert scores.per_row[1:] == pytest.approx([100, 100 * (2 / 3 + 1 / 2 + 0) / 3])
    assert scores.metric == "chrF" and scores.score == pytest.approx(sum(scores.per_row) / 3)
    assert scores.secondary["exact_match"] == pytest.approx(1 / 3)
    assert scores.secondary["held_out_loss"] == pytest.approx((1 + 2 + 3 + 4 + 2 + 0.5) / 6)
    assert [str(p[0].content) for p in lm.asked] == ["question 0", "question 1", "question 2"]  # type: ignore[union-attr]
    assert all(len(p) == 1 for p in lm.asked), "the answer is not part of what is asked"
    assert "held_out_loss" not in evaluate(Scripted("x"), chats("y"), chats("y").test).secondary


def test_bleu_by_hand() -> None:
    """Chinese is counted by characters. Seen failing with words for it, and with the answer as the reference."""
    data = chats("the cat sat on the mat")
    found = evaluate(Scripted("the cat sat on mat"), data, data.test).secondary["bleu"]
    precisions = (5 / 5) * (3 / 4) * (2 / 3) * (1 / 2)
    assert found == pytest.approx(100 * math.exp(1 - 6 / 5) * precisions ** (1 / 4))
    data = chats("我想吃大米饭")
    found = evaluate(Scripted("我想吃米饭"), data, data.test).secondary["bleu"]
    precisions = (5 / 5) * (3 / 4) * (1 / 3) * (1 / (2 * 2))  # no run of four: half of one is counted
    assert found == pytest.approx(100 * math.exp(1 - 6 / 5) * precisions ** (1 / 4))


@pytest.mark.parametrize(("longest", "room"), [(1, 5), (10, 16), (400, 484), (1000, 512)])
def test_room_for_an_answer(longest: int, room: int) -> None:
    """A fifth more than the longest training answer and four. Seen failing with the first answer for the longest."""
    tokenizer = lambda text, add_special_tokens: {"input_ids": text.split()}  # noqa: E731
    data = chats("x", " ".join("y" * longest), "x")
    assert answer_room(SimpleNamespace(tokenizer=tokenizer), data) == room
    lm: Any = Scripted("a", "b", "c")
    assert answer_room(lm, data) == 256
    lm.tokenizer = tokenizer
    evaluate(lm, data, data.test)
    assert lm.sampling == Sampling(max_new_tokens=room)


def test_best_wording() -> None:
    """By the validation rows asked for; the first of equals. Seen failing with the last of equals."""
    data = chats("one", "two", "three")
    wrong, right, also = (Scripted(*a) for a in (("x", "two"), ("one", "two"), ("one", "two")))
    choices: list[Any] = [wrong, right, also]
    best: list[Any] = [best_wording(choices, data, 2)]
    assert best[0] is right and len(right.asked) == 2
    best += [best_wording(choices, data, 0), best_wording(choices[2:], data, 2)]
    assert best[1] is wrong and best[2] is also


@pytest.mark.parametrize("lm", tiny.MODELS, indirect=True)
def test_loss_on_general_text(lm: CausalLM) -> None:
    """transformers' own loss over the same stretches. Seen failing with each place asked for its own token."""
    oracle, ids = tiny.reference(Path(lm.name)), lm.tokenizer(general_text())["input_ids"]
    losses = []
    with torch.no_grad():
        for at in range(0, len(ids), WINDOW):
            part = torch.tensor(ids[at : at + WINDOW])
            losses.append(F.cross_entropy(oracle(part[None]).logits[0, :-1], part[1:], reduction="none"))
    assert len(losses) > 2 and general_loss(lm) == pytest.approx(float(torch.cat(losses).mean()), rel=1e-5)


def loss_of(lm: TrainableLM) -> float:
    found = general_loss(lm)
    assert found is not None, "only an encoder has none"
    return found


@pytest.mark.parametrize("method", ["lora", "layers", "soft_prompt"])
def test_forgetting(lm: CausalLM, method: str) -> None:
    """0 for the base before, under a patch that is off, and after; not for what was trained. A soft prompt stands
    before every stretch. Seen failing with tokens of the text in its place."""
    before = loss_of(lm)
    recipe = tiny.recipe(Path(lm.name), method, training={"learning_rate": 0.05})
    patch = options(recipe)
    with attached(lm, patch, Sft(), (), 0) as (work, _, _):
        assert (loss_of(work) - before == pytest.approx(0, abs=1e-6)) == patch.identity
        with patch.off(work):
            assert general_loss(work) == before
    with run.adapted(lm, recipe, tiny.CHATS) as outcome:
        assert isinstance(outcome.lm, CausalLM) and abs(loss_of(outcome.lm) - before) > 1e-3
    assert general_loss(lm) == before
