"""Continued training against brute force: every token but the first predicted once, over cut texts too."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

import tiny
from luthier.core.records import Text
from luthier.data.pack import pack
from luthier.models.base import TrainableLM
from luthier.models.causal import CausalLM
from luthier.models.outputs import Outputs
from luthier.objectives.lm import Lm
from luthier.runs import run

LONG = "where is my parcel, the box never came and no courier today. 退款还没有到。" * 3


def loss(lm: CausalLM, objective: Lm, text: str) -> tuple[float, int]:
    """Summed loss in nats and the tokens it is over."""
    examples = objective.encode(lm, tiny.TEXTS, [Text(text)])
    batch = pack(examples, objective.divisors(examples))
    hidden = lm.hidden(batch.ids, batch.positions, batch.segments)[batch.where]
    return float(objective.loss(Outputs(hidden, lm, batch.targets), batch)["nll"]), int(
        objective.divisors(examples)["nll"]
    )


@pytest.mark.parametrize("lm", tiny.MODELS[:2], indirect=True)
@pytest.mark.parametrize("size", [7, 50, 10_000])
def test_loss_is_that_of_transformers_stretch_by_stretch(lm: CausalLM, size: int) -> None:
    """Seen failing with stretches that do not share a token (the first of each was never predicted)."""
    reference = tiny.reference(Path(lm.name))
    ids = [*lm.tokenizer(LONG)["input_ids"], lm.tokenizer.eos_token_id]
    want, count, at = 0.0, 0, 0
    while at < len(ids) - 1:
        part = torch.tensor([ids[at : at + size]])
        with torch.no_grad():
            want += float(reference(part, labels=part).loss) * (part.shape[1] - 1)
        count, at = count + part.shape[1] - 1, at + size - 1
    found, tokens = loss(lm, Lm(max_length=size), LONG)
    assert tokens == count == len(ids) - 1
    assert found == pytest.approx(want, rel=1e-5)


def test_every_token_is_learned_once_behind_virtual_tokens(lm: CausalLM) -> None:
    size, virtual = 20, (900, 901, 902)
    examples = Lm(max_length=size).encode(dataclasses.replace(lm, virtual=virtual), tiny.TEXTS, [Text(LONG)])
    ids = [*lm.tokenizer(LONG)["input_ids"], lm.tokenizer.eos_token_id]
    assert [t for e in examples for t in e.targets] == ids[1:] and len(examples) > 3
    assert all(len(e.ids) <= size and e.ids[:3] == virtual for e in examples)
    assert all(e.ids[w + 1] == t for e in examples for w, t in zip(e.where, e.targets, strict=True))
    assert all(w >= len(virtual) for e in examples for w in e.where)  # never from a virtual token alone


def test_short_and_empty_texts(lm: CausalLM) -> None:
    assert Lm().encode(lm, tiny.TEXTS, []) == []
    (only,) = Lm().encode(lm, tiny.TEXTS, [Text("a")])
    assert only.targets == (lm.tokenizer.eos_token_id,)
    lm.tokenizer.eos_token = None
    assert Lm().encode(lm, tiny.TEXTS, [Text("a")]) == []


def test_documents_are_what_is_trained_on(lm: CausalLM) -> None:
    """Questions with documents: training reads the documents, validation the conversations."""
    data = dataclasses.replace(tiny.CHATS, documents=(Text("a document about tea"), Text("再见")))
    trained = Lm().encode(lm, data, data.train)
    assert trained == Lm().encode(lm, tiny.TEXTS, data.documents) and len(trained) == 2
    judged = Lm().encode(lm, data, data.validation)
    assert len(judged) == 2 and "Ich mag Bus" in lm.tokenizer.decode(list(judged[0].targets))
    assert len(Lm().encode(lm, tiny.CHATS, tiny.CHATS.train)) == len(tiny.CHATS.train)
    recipe = tiny.recipe(Path(lm.name), objective={"name": "lm"})
    with run.adapted(lm, recipe, data) as outcome:
        assert outcome.loop is not None
        assert [e.targets for e in outcome.loop.examples] == [e.targets for e in trained]


def test_text_is_the_task_s_own_objective(lm: CausalLM) -> None:
    with run.adapted(lm, tiny.recipe(Path(lm.name)), tiny.TEXTS) as outcome:
        assert outcome.loop is not None and isinstance(outcome.loop.objective, Lm)
        assert isinstance(outcome.lm, TrainableLM)
        before = outcome.loop.evaluate(outcome.loop.objective.encode(outcome.lm, tiny.TEXTS, tiny.TEXTS.validation))
        assert before > 0
