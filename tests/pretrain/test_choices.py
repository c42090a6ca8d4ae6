"""Multiple-choice tasks: what they hold, and how a model is asked."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from luthier.core import plugins
from luthier.evals.bootstrap import ratio, wilson
from luthier.models.causal import CausalLM
from luthier.pretrain import choices
from luthier.pretrain.choices import PLAIN, Item

TASKS = sorted(plugins.members("tasks"))


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_well_made(name: str) -> None:
    """No choice twice, no beginning twice, and a length gives no answer away: neither the longest nor the shortest
    choice is right more often, or more rarely, than chance allows."""
    about, items = plugins.members("tasks")[name].constants, choices.items(name)
    assert about["LANGUAGE"] in PLAIN and about["TITLE"] and about["TITLE_ZH"] and len(items) >= 50
    assert len({item.beginning for item in items}) == len(items)
    for item in items:
        assert len(set(item.choices)) == len(item.choices) >= 2
        assert all(text == text.strip() != "" for text in (item.beginning, *item.choices))
    sizes = [[len(choice.encode()) for choice in item.choices] for item in items]
    chance = choices.baselines(items)["chance"]
    for pick in (max, min):
        right = sum((own[0] == pick(own)) / own.count(pick(own)) for own in sizes)
        inside = wilson(right / len(items), len(items))
        assert inside.low <= chance <= inside.high, pick


def test_no_choice_is_liked_by_many_items() -> None:
    """A right choice of one item is hardly ever right for another, so that liking a word is no knowledge."""
    for name in TASKS:
        right = [item.choices[0] for item in choices.items(name)]
        assert max(right.count(choice) for choice in right) <= 3, name


def test_an_item_is_right_by_its_likeliest_choice_a_byte(lm: CausalLM) -> None:
    """Against transformers' plain pass over the beginning with one choice behind it."""
    items = [Item("The miller crossed the", ("river.", "very long road home.", "x")), Item("a", ("b", "cc"))]
    plain, want = tiny.reference(Path(lm.name)), []
    for item in items:
        scores = []
        for choice in item.choices:
            begun, end = (lm.tokenizer(text)["input_ids"] for text in (item.beginning, f" {choice}"))
            with torch.no_grad():
                logprobs = plain(torch.tensor([begun + end])).logits[0].log_softmax(-1)
            told = [float(logprobs[len(begun) - 1 + at, token]) for at, token in enumerate(end)]
            scores.append(math.fsum(told) / len(choice.encode()))
        want.append(scores.index(max(scores)))
    for pick, item in enumerate(items):  # each choice as if it were the right one
        for at in range(len(item.choices)):
            turned = Item(item.beginning, item.choices[at:] + item.choices[:at])
            assert choices.answered(lm, [turned], PLAIN["en"]) == [at == want[pick]]


def test_chinese_has_no_space_before_a_choice(lm: CausalLM) -> None:
    seen: list[str] = []

    class Heard(CausalLM):
        def encode_answer(self, answer: str, labels: Any = ()) -> list[int]:
            seen.append(self.wording(labels).gap + answer)
            return super().encode_answer(answer, labels)

    heard = Heard(**{name: getattr(lm, name) for name in lm.__dataclass_fields__})
    choices.answered(heard, [Item("桌上有一", ("本书。", "匹书。"))], PLAIN["zh"])
    choices.answered(heard, [Item("There is", ("a book.", "a books."))], PLAIN["en"])
    assert seen == ["本书。", "匹书。", " a book.", " a books."]


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("plain words", ["en"]),
        ("春眠不觉晓，处处闻啼鸟。", ["zh"]),
        ("春眠不觉晓 and birds", ["en", "zh"]),
        ("1 2 3", ["en"]),
    ],
)
def test_tasks_are_in_the_languages_of_the_text(text: str, spoken: list[str]) -> None:
    assert choices.languages(text) == spoken


def test_one_language_behind_the_other_is_seen(tmp_path: Path) -> None:
    """Seen failing with the languages of the first 100,000 characters."""
    (tmp_path / "text").write_text("plain words and others " * 20_000 + "处处闻啼鸟。" * 8_000, encoding="utf-8")
    assert choices.languages(choices.spread(tmp_path / "text")) == ["en", "zh"]


def test_baselines_by_hand() -> None:
    items = [Item("", ("long", "a")), Item("", ("a", "long")), Item("", ("aa", "bb", "c", "d"))]
    assert choices.baselines(items) == {"chance": pytest.approx(1.25 / 3), "longest": pytest.approx(1.5 / 3)}


def test_the_interval_of_a_ratio_is_that_of_the_delta_method() -> None:
    random = torch.Generator().manual_seed(1)
    sizes = torch.randint(500, 5000, (300,), generator=random).double()
    nats = sizes * (1.5 + 0.2 * torch.randn(300, generator=random).double())
    found = ratio(torch.stack([nats, sizes], 1).tolist())
    assert found is not None
    value = float(nats.sum() / sizes.sum())
    half = 1.96 * float((nats - value * sizes).std()) / float(sizes.mean()) / math.sqrt(300)
    assert found.value == pytest.approx(value)
    assert (found.low, found.high) == pytest.approx((value - half, value + half), abs=0.1 * half)
    assert ratio([[1.0, 2.0]] * 7) is None
