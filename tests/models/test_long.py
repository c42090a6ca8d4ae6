"""Texts far beyond the model's context are scored in bounded memory, with what is asked about them kept."""

from __future__ import annotations

import torch

import tiny
from luthier.data.pack import KEPT_TAIL, shortened
from luthier.models.causal import CausalLM
from luthier.models.inference.scoring import continuations


def test_the_middle_goes() -> None:
    ids = list(range(1000))
    assert shortened(ids, 1000) == ids
    assert shortened(ids, 300) == [*range(300 - KEPT_TAIL), *range(1000 - KEPT_TAIL, 1000)]
    assert shortened(ids, 4) == [0, 1, 998, 999]


def test_a_long_row_beside_short_ones(lm: CausalLM) -> None:
    labels = tiny.LABELLED.labels
    texts = ["where is my parcel", "word " * 10_000]
    assert lm.length(texts[1], labels) > 5 * lm.context >= 5 * len(lm.encode_prompt(texts[1], labels))
    both = lm.predict(texts, labels)
    assert torch.isfinite(both).all()
    torch.testing.assert_close(both[:1], lm.predict(texts[:1], labels))
    torch.testing.assert_close(both[1:], lm.predict(["word " * 9_000], labels))  # the same once cut


def test_an_answer_longer_than_the_context_loses_its_end(lm: CausalLM) -> None:
    ((found,),) = continuations(lm, [([1, 2, 3], [[5] * 3000])])
    assert len(found) == lm.context // 2 and torch.isfinite(found).all()
