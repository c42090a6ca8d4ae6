"""A dry run against hand-worked numbers, and against the same operations on tensors that are there."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from luthier.models.attention.packed import How, Packed
from luthier.planning.dry_run import DryRun


def flops(run: DryRun) -> float:
    return sum(operation.flops * count for work in run.done.values() for operation, count in work.items())


def test_arithmetic_of_a_linear_layer() -> None:
    """y = x Wᵀ of (5, 3) and (4, 3): 2·5·3·4 forward, as many for each of the two gradients."""
    with DryRun() as run:
        layer = nn.Linear(3, 4, bias=False)
        x = torch.zeros(5, 3, requires_grad=True)
        layer(x).sum().backward()
    assert flops(run) == 3 * 120


def test_causal_attention_counts_half() -> None:
    """q kᵀ and p v of 2 heads, 10 tokens, 8 numbers: 2 · 2·2·10·10·8, half of it above the diagonal."""
    with DryRun() as run:
        q, k, v = (torch.zeros(1, 2, 10, 8) for _ in range(3))
        F.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert flops(run) == 6400 / 2


def test_bytes_that_are_alive() -> None:
    """100 float32 are 400 bytes; a view holds nothing of its own; what nobody holds is gone."""
    with DryRun() as run:
        run.enter("one")
        a = torch.zeros(100)
        b = a.view(10, 10)[2:]
        assert run.live == 400
        c = a + 1
        assert (run.live, run.peaks["one"]) == (800, 800)
        del a, c
        assert run.live == 400 and b.shape == (8, 10)
        run.enter("two")
        del b
        assert (run.live, run.peaks) == (0, {"one": 800, "two": 400})


def test_questions_about_numbers_are_answered() -> None:
    with DryRun():
        a = torch.zeros(3)
        assert torch.equal(a, a + 1) and torch.allclose(a, a + 1) and bool((a > 1).any())
        first, second = float(a.sum()), float(a.sum())
        assert first != second and abs(first - second) < 1e-6
        assert int(torch.zeros(2, dtype=torch.long).sum()) == 1


def test_nothing_stays_switched_on() -> None:
    with DryRun() as run:
        pass
    assert not _get_current_dispatch_mode_stack()
    with run:  # and again
        assert len(_get_current_dispatch_mode_stack()) == 2
    assert float(torch.ones(2).sum()) == 2


def test_long_sequences_take_no_square_of_memory() -> None:
    """Attention keeps a number of bytes that doubles with the length, whichever kernel serves it."""
    held = []
    for tokens in (512, 1024):
        with DryRun() as run:
            q, k, v = (torch.zeros(1, 4, tokens, 64, requires_grad=True) for _ in range(3))
            before = run.live
            out = Packed((tokens,)).attend(0, q, k, v, How())
            held.append(run.live - before)
            del out
    assert held[1] < 2.2 * held[0]
