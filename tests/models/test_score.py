"""Likelihoods of answers against one forward pass of transformers for every prompt and answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import tiny
from luthier.core.records import Message, Prompt
from luthier.data.pack import pack
from luthier.data.prompts import CLASSIFY
from luthier.models.causal import CausalLM
from luthier.models.inference import scoring
from luthier.models.reading import Row
from watching import watched

LABELS = ("delivery", "退款", "账号登录", "re")
BYTES = (8, 6, 12, 2)  # of these labels in UTF-8
TEXTS = ("where is my parcel", "退款还没有到", "x", "i was charged twice and cannot log in")
every_model = pytest.mark.parametrize("lm", tiny.MODELS, indirect=True)


def alone(oracle: Any, prompt: list[int], answer: list[int]) -> Tensor:
    """log p of each answer token, by transformers, nothing shared."""
    with torch.no_grad():
        logits = oracle(torch.tensor([prompt + answer])).logits[0].double()
    at = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
    picked = [torch.log_softmax(logits[i], 0)[token] for i, token in zip(at, answer, strict=True)]
    return torch.stack(picked).float() if picked else torch.empty(0)


def rows(lm: CausalLM, shared: int) -> list[Row]:
    """Prompts of several lengths behind `shared` common tokens, with one to four answers each."""
    random = torch.Generator().manual_seed(shared)

    def some(n: int) -> list[int]:
        return torch.randint(len(lm.tokenizer), (n,), generator=random).tolist()

    start = some(shared)
    sizes = [(9, [3]), (1, [1, 1, 7]), (20, [5, 2, 1, 9]), (4, [12]), (13, [1]), (2, [4, 6])]
    return [([*start, i, *some(n)], [some(m) for m in answers]) for i, (n, answers) in enumerate(sizes)]


@every_model
def test_states_of_answers_to_one_question(lm: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """What neighbours begin with alike is read once where it is most of them; others hang on no neighbour."""
    random = torch.Generator().manual_seed(3)

    def some(n: int) -> list[int]:
        return torch.randint(len(lm.tokenizer), (n,), generator=random).tolist()

    one, two = some(20), some(9)
    prompts = [[*one, 1, *some(4)], [*one, 2, *some(9)], one[:], some(12), [*two, *some(30)], [*two, *some(5)], [7]]
    assert [group for _, group in scoring._alike(prompts)] == [0, 0, 0, None, 4, 4, None]
    sizes: list[int] = []

    def measured(*args: Any, **kwargs: Any) -> Any:
        batch = pack(*args, **kwargs)
        sizes.append(len(batch.ids))
        return batch

    monkeypatch.setattr(scoring, "pack", measured)
    found = torch.cat(list(scoring.last_hidden(lm, prompts)))
    saved = sum(map(len, prompts)) - sum(sizes)
    assert saved == (20 + 19 + 9 if lm.shares else 0)
    alone = torch.cat([torch.cat(list(scoring.last_hidden(lm, [prompt]))) for prompt in prompts])
    torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-4)


@every_model
@pytest.mark.parametrize(("shared", "limit"), [(0, 2048), (7, 30), (8, 30), (25, 2048)])
def test_continuations(lm: CausalLM, shared: int, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with answers in the order of their groups, and with positions that start anew behind a prefix."""
    monkeypatch.setattr(scoring, "TOKENS", limit)  # 30: several forward passes, some of a single row
    asked = rows(lm, shared)
    assert scoring.common_prefix([prompt for prompt, _ in asked]) == (shared if shared >= scoring.WORTH_SHARING else 0)
    oracle, found = tiny.reference(Path(lm.name)), scoring.continuations(lm, asked)
    for (prompt, answers), values in zip(asked, found, strict=True):
        for answer, got in zip(answers, values, strict=True):
            torch.testing.assert_close(got, alone(oracle, prompt, answer), rtol=1e-4, atol=1e-4)


def test_an_empty_answer_has_no_tokens(lm: CausalLM) -> None:
    """Alone and among others. Seen failing when each answer was read at one place at least."""
    prompt, answer = [5, 6, 7, 8], [9, 10]
    oracle = tiny.reference(Path(lm.name))
    found = scoring.continuations(lm, [(prompt, [[], answer]), (prompt[:2], [[]])])
    assert [len(v) for v in found[0]] == [0, 2] and [len(v) for v in found[1]] == [0]
    torch.testing.assert_close(found[0][1], alone(oracle, prompt, answer), rtol=1e-4, atol=1e-4)
    assert [len(v) for v in lm.logprobs([("hello", "")])] == [0]


@every_model
@pytest.mark.parametrize("template", CLASSIFY, ids=lambda t: t.name)
def test_by_words(lm: CausalLM, template: Any) -> None:
    """Each label's sum per byte of its own. Seen failing with characters for bytes, and with tokens for bytes."""
    worded, oracle = lm.asked(template=template), tiny.reference(Path(lm.name))
    found = scoring.by_words(worded, TEXTS, LABELS)
    assert found.shape == (len(TEXTS), len(LABELS)) and [len(label.encode()) for label in LABELS] == list(BYTES)
    for text, got in zip(TEXTS, found, strict=True):
        prompt = worded.encode_prompt(text, LABELS)
        answers = [worded.encode_answer(label, LABELS) for label in LABELS]
        per_byte = [alone(oracle, prompt, a).sum() / size for a, size in zip(answers, BYTES, strict=True)]
        torch.testing.assert_close(got, torch.log_softmax(torch.stack(per_byte), 0), rtol=1e-4, atol=1e-4)
        assert lm.tokenizer.decode(answers[1]) == template.gap + LABELS[1]


def test_a_plain_label_is_scored_behind_its_prompt_and_a_space(lm: CausalLM) -> None:
    """The tokens, by hand. Seen failing with the gap left out of the answer."""
    worded = lm.asked(template=CLASSIFY[0])
    whole = worded.encode_prompt("the box", LABELS) + worded.encode_answer("refund", LABELS)
    assert lm.tokenizer.decode(whole) == "the box\nCategory: refund"


@every_model
def test_logprobs_of_a_conversation(lm: CausalLM) -> None:
    """Seen failing with the first answer token read one place late."""
    asked: list[tuple[Prompt, str]] = [
        ((Message("user", "Wo ist der Bus?"),), "Where?"),
        ("一二三", "再见 and bye"),
        ("a", "b"),
    ]
    oracle, found = tiny.reference(Path(lm.name)), lm.logprobs(asked)
    for (question, answer), got in zip(asked, found, strict=True):
        text = question if isinstance(question, str) else question[0].content
        rendered = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
        prompt, tokens = (lm.tokenizer(t, add_special_tokens=False)["input_ids"] for t in (rendered, answer))
        torch.testing.assert_close(got, alone(oracle, prompt, tokens), rtol=1e-4, atol=1e-4)


def test_a_prompt_that_all_others_begin_with(lm: CausalLM) -> None:
    """Each row alone scores the same. Seen failing with a prefix that leaves such a prompt no token of its own."""
    whole = rows(lm, 12)[0][0]
    asked: list[Row] = [(whole[:12], [[3]]), (whole, [[4, 5], [6]]), (whole[:12], [[7, 8]])]
    assert scoring.common_prefix([prompt for prompt, _ in asked]) == 11
    for row, values in zip(asked, scoring.continuations(lm, asked), strict=True):
        for got, want in zip(values, scoring.continuations(lm, [row])[0], strict=True):
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
    assert scoring.continuations(lm, []) == []


def test_one_overlong_prompt_does_not_take_the_prefix_from_the_others(
    lm: CausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing with one common prefix for all: the examples ran again for each row."""
    head = list(range(5, 45))
    asked: list[Row] = [([*head, 50 + i, 60], [[3], [4, 5]]) for i in range(5)]
    asked.insert(2, ([*range(90, 70, -1), 61], [[3], [4, 5]]))
    assert scoring.sharing([p for p, _ in asked]) == [[0, 1, 3, 4, 5], [2]] and scoring.sharing([]) == []
    once: list[int] = []
    real = scoring.run_prefix
    monkeypatch.setattr(scoring, "run_prefix", watched(real, lambda lm, ids: once.append(len(ids))))
    found = scoring.continuations(lm, asked)
    assert once == [40, 0]
    for row, values in zip(asked, found, strict=True):
        for got, want in zip(values, scoring.continuations(lm, [row])[0], strict=True):
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
