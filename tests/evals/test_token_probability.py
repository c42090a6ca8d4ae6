"""Plain text that is longer than a context: every token counts, and only bytes that were told."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tiny
from luthier.core.records import Text
from luthier.core.split import Split
from luthier.evals.metrics.token_probability import METRIC, stretches
from luthier.models.causal import CausalLM


@given(st.integers(2, 90), st.integers(2, 20))
def test_every_token_but_the_first_is_told_once(count: int, room: int) -> None:
    ids = list(range(count))
    told = [one for part, new in stretches(ids, room) for one in part[-new:]]
    assert told == ids[1:] and all(len(part) <= room for part, _ in stretches(ids, room))
    later = [(part, new) for part, new in stretches(ids, room)][1:]
    assert all(len(part) - new >= room // 2 for part, new in later)


def test_bits_a_byte_of_long_texts_by_hand(lm: CausalLM) -> None:
    """As plain transformers tells the tokens, half a context before each. Seen failing with the whole text's bytes for
    the tokens of its beginning: a text of ten contexts had a tenth of the bits."""
    room = lm.context
    texts = ["a river of oak " * room, "short one"]
    rows = tuple(Text(text) for text in texts)
    found = METRIC.scores(lm, Split("text", rows, ()), rows).secondary
    plain, nats, size = tiny.reference(Path(lm.name)), 0.0, 0.0
    for text in texts:
        ids = lm.tokenizer(text)["input_ids"]
        for part, new in stretches(ids, room):
            with torch.no_grad():
                logits = plain(torch.tensor([part])).logits[0].log_softmax(-1)
            values = logits[:-1].gather(1, torch.tensor(part[1:])[:, None])[:, 0]
            nats -= float(values[-new:].sum())
        size += len(text.encode()) - len(str(lm.tokenizer.decode(ids[:1])).encode())
    assert found["bits_per_byte"] == pytest.approx(nats / math.log(2) / size, rel=1e-4)
