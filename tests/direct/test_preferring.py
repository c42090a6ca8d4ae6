"""What stands beside preference learning: length alone, frozen features on pairs, a judge asked in both orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from luthier.core.errors import LuthierError
from luthier.core.lm import LM
from luthier.core.records import Judged, Message, Preference, Ranking, Record, Sampling
from luthier.core.split import Split
from luthier.direct.classical.pairs import PairLM, _fitted
from luthier.direct.features import Features
from luthier.direct.judge import Judge, JudgeLM
from luthier.direct.length import Length, LengthLM
from luthier.evals.judging import Pair, Verdict, question, verdicts
from luthier.evals.task import evaluate
from luthier.models.causal import CausalLM
from luthier.training.context import Context
from preferring import DATA, asked


def split(*rows: Record) -> Split:
    return Split("preference", rows, rows)


def scores(lm: LM, *rows: Record) -> list[float]:
    return evaluate(lm, split(*rows), rows).per_row


# -- the metric ------------------------------------------------------------------------------------------------------


def test_a_ranking_and_thumbs_by_hand() -> None:
    """By length: 3 > 2 > 1 letters. A thumb is held against every opposite one, of its own prompt where one is."""
    longer = LengthLM(1)
    assert scores(longer, Ranking(asked("q"), ("aaa", "bb", "c"), (3, 1, 2))) == [pytest.approx(2 / 3)]
    assert scores(longer, Preference(asked("q"), "same", "sane"), Ranking(asked("q"), ("a", "b"), (1, 1))) == [0.5, 0.5]
    thumbs = [Judged(asked("p"), "aaa", True), Judged(asked("q"), "aa", False), Judged(asked("r"), "aaaa", False)]
    assert scores(longer, *thumbs) == [0.5, 1.0, 0.0]
    own = [Judged(asked("p"), "aaa", True), Judged(asked("p"), "aaaa", False), Judged(asked("r"), "a", False)]
    assert scores(longer, *own) == [0.0, 0.0, 1.0]
    assert scores(longer, own[0]) == [0.5], "there is nothing to hold it against"


# -- length ----------------------------------------------------------------------------------------------------------


def test_length_takes_what_the_training_rows_prefer(lm: CausalLM, tmp_path: Path) -> None:
    short = [Preference(asked(f"q{i}"), "ab", "abcd" if i else "a") for i in range(4)]
    found = Length().adapt(Context(lm, split(*short)))
    assert found.sign == -1 and scores(found, *short) == [0.0, 1.0, 1.0, 1.0]
    found.save(tmp_path)
    assert Length().load(tmp_path, Context(lm)) == found
    with pytest.raises(LuthierError, match="the length of an answer can only predict"):
        found.generate(["q"], Sampling())


# -- features on pairs -----------------------------------------------------------------------------------------------


def test_weights_of_differences_by_hand() -> None:
    """One feature, differences 1, 1, -1 (deviation 1): at the optimum of C·Σ log σ + w²/2 the gradient is 0."""
    (w,) = _fitted(np.array([[1.0], [1.0], [-1.0]]), np.array([1.0]), 0.5)
    sigma = 1 / (1 + np.exp(-w))
    # each pair stands there twice, turned round: 2 · C · (2 (1 - σ) - σ) = w
    assert 2 * 0.5 * (2 * (1 - sigma) - sigma) == pytest.approx(w, abs=1e-4)
    assert _fitted(np.array([[1.0, 5.0]]), np.array([2.0, 0.0]), 1.0)[1] == 0, "what does not vary says nothing"


def test_pairs_are_learned_kept_and_loaded(lm: CausalLM, tmp_path: Path) -> None:
    found = Features().adapt(replace(Context(lm, DATA), cache=tmp_path / "cache"))
    assert isinstance(found, PairLM) and found.output == "reward"
    rows = [r for r in DATA.train if isinstance(r, Preference)]
    good, bad = (found.predict([r.conversations[side] for r in rows], ())[:, 0].double().numpy() for side in (0, 1))
    assert good.mean() == pytest.approx(0, abs=1e-6), "better answers have 0 on average"
    assert float((good > bad).mean()) == np.mean(scores(found, *rows)) > 0.5
    found.save(tmp_path)
    loaded = Features().load(tmp_path, Context(lm))
    asked_: list[Any] = [rows[0].conversations[0]]
    assert torch.equal(loaded.predict(asked_, ()), found.predict(asked_, ())) and loaded.output == "reward"
    thumbs = split(Judged(asked("q"), "a", True), Judged(asked("q"), "b", False))
    assert "answers that were compared" in str(Features().refuses(Context(lm, thumbs)))


# -- the judge -------------------------------------------------------------------------------------------------------


class Judging:
    """A model that gives A and B a log-probability each by what it is asked; -inf for both: it names neither."""

    def __init__(self, nats: Callable[[str], tuple[float, float]]) -> None:
        self.nats, self.asked = nats, list[str]()

    def worded(self, template: Any, labels: Sequence[str]) -> Judging:
        assert labels == ("A", "B") and template.text == "{input}"
        return self

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> torch.Tensor:
        self.asked += texts
        return torch.tensor([self.nats(text) for text in texts])


def likes(words: str) -> Callable[[str], tuple[float, float]]:
    """Names the answer that holds these words."""
    never = -float("inf")
    return lambda text: (0.0, never) if words in text.split("Answer A]")[1].split("[Answer B]")[0] else (never, 0.0)


PAIR = Pair(asked("Where is my parcel?"), "GOOD one", "bad one")


def test_both_orders_count() -> None:
    """Who names the same answer in both orders prefers it; who always likes the first prefers none."""
    model: Any = Judging(likes("GOOD"))
    assert verdicts(model, [PAIR, Pair(PAIR.messages, PAIR.second, PAIR.first)]) == [Verdict(1, 1), Verdict(0, 0)]
    assert len(model.asked) == 4 and verdicts(model, []) == []
    first: Any = Judging(lambda _: (0.0, -2.0))
    (found,) = verdicts(first, [PAIR])
    sure = 1 / (1 + np.exp(-2))
    assert found == pytest.approx((sure, 1 - sure)) and found.mean == pytest.approx(0.5) and not found.agrees
    assert Verdict(0.9, 0.6).agrees and not Verdict(0.9, 0.4).agrees and not Verdict(0.5, 0.9).agrees


def test_who_names_neither_gives_no_verdict() -> None:
    model: Any = Judging(lambda _: (-float("inf"), -float("inf")))
    (found,) = verdicts(model, [PAIR])
    assert not found.read and not found.agrees and found.mean == 0.5


def test_the_question_is_in_the_language_of_the_conversation() -> None:
    chinese = question(Pair((Message("system", "s"), *asked("包裹在哪？")), "一", "二"))
    assert "哪个回答更好" in chinese and "系统：s" in chinese and "Which" not in chinese
    assert question(PAIR).index("GOOD") < question(PAIR).index("bad one") and "User: Where" in question(PAIR)


def test_the_judge_scores_pairs_and_is_loaded(lm: CausalLM, tmp_path: Path) -> None:
    found = Judge().adapt(Context(lm, DATA))
    rows = DATA.validation[:2]
    want = evaluate(found, DATA, rows)
    assert len(want.per_row) == 2 and set(want.per_row) <= {0.0, 0.5, 1.0}
    found.save(tmp_path)
    again = evaluate(Judge().load(tmp_path, Context(lm)), DATA, rows)
    assert again.per_row == want.per_row and again.answers == want.answers
    model: Any = Judging(likes("on its way"))
    assert scores(JudgeLM(model), *rows) == [1.0, 1.0]
    with pytest.raises(LuthierError, match="compares two answers"):
        found.predict(["q"], ())
