"""What members of a group begin with goes through the model once: the same states, losses and gradients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tiny
from luthier.core.batch import Batch
from luthier.core.example import Example
from luthier.core.methods import Objective, Patch
from luthier.data.pack import pack
from luthier.io.config import TrainingConfig, options
from luthier.models.causal import CausalLM
from luthier.objectives.dpo import Dpo
from luthier.objectives.orpo import Orpo
from luthier.objectives.reward import Reward
from luthier.training.attach import prepared
from luthier.training.context import Context
from preferring import DATA, nudged

PATCHES = ("lora", "full", "prefix", "soft_prompt", "p_tuning", "llama_adapter", "adapter", "ia3", "bitfit", "adalora")
ids = st.lists(st.integers(0, 3), min_size=1, max_size=6)


@st.composite
def examples(draw: st.DrawFn) -> list[Example]:
    """A few sequences of few different tokens, so that many begin alike, in groups or alone."""
    out = []
    for row in range(draw(st.integers(1, 6))):
        found = draw(ids)
        where = sorted(draw(st.sets(st.integers(0, len(found) - 1), min_size=1)))
        group = draw(st.sampled_from([None, 0, 1]))
        out.append(Example(row, tuple(found), tuple(where), tuple(found[w] for w in where), group=group))
    return out


def read_back(batch: Batch, at: int) -> tuple[list[int], list[int]]:
    """Tokens and positions of a segment with the beginning that it leaves to an earlier one."""
    start = sum(batch.segments[:at])
    own = slice(start, start + batch.segments[at])
    found, places = batch.ids[own].tolist(), batch.positions[own].tolist()
    if batch.behind and (behind := batch.behind[at]):
        first, count = behind
        before, known = read_back(batch, first)
        return before[:count] + found, known[:count] + places
    return found, places


@given(examples())
def test_a_batch_holds_the_same_sequences(given_: list[Example]) -> None:
    """Every place that is read is the token it was; nothing is shared between groups or where nobody asked."""
    batch, plain = pack(given_, {}, share=True), pack(given_, {})
    assert not plain.behind and sum(plain.segments) == sum(e.tokens for e in given_)
    assert sum(batch.segments) == len(batch.ids) and min(batch.segments) > 0
    for at, e in enumerate(given_):
        assert read_back(batch, at) == (list(e.ids), list(range(len(e.ids))))
        if batch.behind and (behind := batch.behind[at]):
            assert e.group is not None and given_[behind[0]].group == e.group and behind[0] < at
    where = batch.where.split(list(batch.spans))
    for places, e in zip(where, given_, strict=True):
        assert batch.ids[places].tolist() == list(e.targets)


@pytest.mark.parametrize("lm", tiny.MODELS, indirect=True)
def test_states_are_the_same(lm: CausalLM) -> None:
    """Seen failing: places that stand in the shared beginning were looked for in the segment's own tokens."""
    examples = Dpo().encode(lm, DATA, DATA.train)
    batch, plain = pack(examples, {}, share=True), pack(examples, {})
    assert batch.tokens < 0.8 * plain.tokens
    with torch.no_grad():
        torch.testing.assert_close(lm.read(batch), lm.read(plain), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("objective", [Dpo, Orpo, Reward])
@pytest.mark.parametrize("patch", PATCHES)
def test_losses_and_gradients_are_the_same(
    lm: CausalLM, patch: str, objective: Callable[[], Objective], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so is what the reference says, and what is counted."""
    found = []
    for shares in (True, False):
        monkeypatch.setattr(CausalLM, "shares", shares)
        made = options(tiny.recipe(Path(lm.name), patch))
        assert isinstance(made, Patch)
        training = TrainingConfig(tokens=10**6, epochs=1, learning_rate=0.003)
        with prepared(Context(tiny.fresh(Path(lm.name)), DATA), made, objective(), training) as ready:
            loop = ready.loop
            nudged(loop, 0.02)
            chosen = next(loop.objective.batches(loop.ctx, loop.examples, 4, loop.cursor))
            loss = loop.executor.forward_backward(chosen, loop.objective).total
            grads = {n: p.grad.clone() for n, p in loop.executor.params.items() if p.grad is not None}
            found.append((loss, grads, loop.ctx.meter.total))
    (loss, grads, read), (want, wanted, counted) = found
    assert loss == pytest.approx(want, abs=1e-5) and read == counted and grads.keys() == wanted.keys()
    for name, gradient in grads.items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-5)
