"""The packed forward pass against transformers' own, one sequence at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import tiny
from luthier.data.pack import micro_batches, next_token, pack
from luthier.models.attention.packed import Packed
from luthier.models.causal import CausalLM
from luthier.models.inference.scoring import _tree, run_prefix
from luthier.models.kernels.vocabulary_head import head_loss

SIZES = (1, 9, 30, 2, 17)  # most are longer than the sliding window of the Qwen2 model
every_model = pytest.mark.parametrize("lm", tiny.MODELS, indirect=True)


def tokens(lm: CausalLM, *sizes: int, seed: int = 0) -> list[list[int]]:
    """Random sequences of these lengths."""
    random = torch.Generator().manual_seed(seed)
    return [torch.randint(len(lm.tokenizer), (n,), generator=random).tolist() for n in sizes]


def row(*lists: list[int]) -> Tensor:
    """Token ids or positions end to end: (T,)."""
    return torch.tensor([i for one in lists for i in one])


def hidden(lm: CausalLM, sequences: list[list[int]]) -> tuple[Tensor, ...]:
    """Packed hidden states, a tensor (n, d) a sequence."""
    sizes = [len(s) for s in sequences]
    with torch.no_grad():
        whole = lm.hidden(row(*sequences), row(*[list(range(n)) for n in sizes]), sizes)
    return torch.split(whole, sizes)


def logits(oracle: Any, ids: list[int]) -> Tensor:
    """transformers' own logits (n, V) of one sequence alone."""
    with torch.no_grad():
        return oracle(torch.tensor([ids])).logits[0]  # type: ignore[no-any-return]


def close(got: Tensor, want: Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@every_model
def test_packed_is_each_sequence_alone(lm: CausalLM) -> None:
    """Seen failing with `<=` for `<` in the sliding window of `Packed`."""
    oracle, sequences = tiny.reference(Path(lm.name)), tokens(lm, *SIZES)
    for ids, states in zip(sequences, hidden(lm, sequences), strict=True):
        close(lm.head.logits(states), logits(oracle, ids))


@every_model
def test_a_segment_changes_no_other(lm: CausalLM) -> None:
    """Seen failing with one causal attention over the whole row."""
    sequences, others = tokens(lm, *SIZES), tokens(lm, *SIZES, seed=1)
    before = hidden(lm, sequences)
    for changed in range(len(SIZES)):
        after = hidden(lm, [others[i] if i == changed else s for i, s in enumerate(sequences)])
        for i, (x, y) in enumerate(zip(before, after, strict=True)):
            assert torch.equal(x, y) == (i != changed)


@every_model
@pytest.mark.parametrize("shared", [1, 4, 20])
def test_segments_behind_a_prefix(lm: CausalLM, shared: int) -> None:
    """Seen failing with a window that takes the prefix for as many places further back."""
    oracle, (start, *rest) = tiny.reference(Path(lm.name)), tokens(lm, shared, 1, 3, 15)
    sizes = [len(s) for s in rest]
    layout = Packed(sizes, prefix=run_prefix(lm, start))
    positions = row(*[list(range(shared, shared + n)) for n in sizes])
    with torch.no_grad():
        states = lm.forward(row(*rest)[None], positions[None], layout)[0]
    for ids, part in zip(rest, states.split(sizes), strict=True):
        close(lm.head.logits(part), logits(oracle, start + ids)[shared:])


@every_model
@pytest.mark.parametrize("shared", [0, 9])
def test_answers_side_by_side_behind_one_prompt(lm: CausalLM, shared: int) -> None:
    """Seen failing with answers that see each other, and with a window that counts the answers in between."""
    oracle = tiny.reference(Path(lm.name))
    prefix, one, two, *answers = tokens(lm, shared, 7, 2, 3, 11, 1, 8)
    trees = [(one, answers[:3]), (two, answers[2:])]
    ids = [i for prompt, tails in trees for i in [*prompt, *(t for tail in tails for t in tail)]]
    positions: list[int] = []
    for prompt, tails in trees:
        for at, part in [(shared, prompt), *[(shared + len(prompt), tail) for tail in tails]]:
            positions += range(at, at + len(part))
    sizes = [len(prompt) + sum(map(len, tails)) for prompt, tails in trees]
    masks = [_tree(len(prompt), [len(t) for t in tails]) for prompt, tails in trees]
    layout = Packed(sizes, masks, run_prefix(lm, prefix))
    with torch.no_grad():
        states = lm.forward(torch.tensor([ids]), torch.tensor([positions]), layout)[0]
    parts = iter(states.split([len(part) for prompt, tails in trees for part in (prompt, *tails)]))
    for prompt, tails in trees:
        close(lm.head.logits(next(parts)), logits(oracle, prefix + prompt)[shared:])
        for tail in tails:
            close(lm.head.logits(next(parts)), logits(oracle, prefix + prompt + tail)[shared + len(prompt) :])


@every_model
def test_gradients_are_those_of_single_sequences(lm: CausalLM) -> None:
    """Every weight's gradient, a tied head's too. Seen failing with targets one place too early."""
    sequences = tokens(lm, 9, 30, 2, 17)
    answers = [[i >= len(s) // 2 for i in range(len(s))] for s in sequences]
    examples = [next_token(i, s, a, 25) for i, (s, a) in enumerate(zip(sequences, answers, strict=True))]
    lm.model.requires_grad_(True)
    total = 0.0
    for part in micro_batches(examples, 40):
        batch = pack(part, {})
        states = lm.hidden(batch.ids, batch.positions, batch.segments)[batch.where]
        loss = head_loss(states, lm.head, batch.targets)
        loss.backward()
        total += float(loss.detach())
    oracle = tiny.reference(Path(lm.name))
    losses = []
    for ids, learned in zip(sequences, answers, strict=True):
        cut, own = torch.tensor([ids[:25]]), torch.tensor(learned[1:25])
        losses.append(F.cross_entropy(oracle(cut).logits[0, :-1][own], cut[0, 1:][own], reduction="sum"))
    torch.stack(losses).sum().backward()
    assert total == pytest.approx(sum(float(x.detach()) for x in losses), rel=1e-5)
    wanted = {name: p.grad for name, p in oracle.named_parameters()}
    assert wanted.keys() == dict(lm.model.named_parameters()).keys()
    for name, p in lm.model.named_parameters():
        scale = float(wanted[name].abs().max())
        torch.testing.assert_close(p.grad, wanted[name], rtol=0, atol=1e-4 * scale, msg=f"{name}: {{}}".format)
