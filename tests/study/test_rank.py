"""Effective rank: against the singular value decomposition and matrices whose rank is known."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from luthier.study.studies.rank import effective_rank, energies, matrices


@pytest.mark.parametrize("shape", [(7, 12), (12, 7), (9, 9)])
def test_energies_are_squared_singular_values(shape: tuple[int, int]) -> None:
    """Against torch.linalg.svdvals. Seen failing with the Gram matrix of the longer side."""
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    want = torch.linalg.svdvals(matrix.double()).square()
    torch.testing.assert_close(energies(matrix), want)


def test_ranks_by_hand() -> None:
    """Seen failing with one value too few counted."""
    assert effective_rank(torch.tensor([9.0, 1.0, 0.0]), 0.9) == 1
    assert effective_rank(torch.tensor([8.9, 1.1, 0.0]), 0.9) == 2
    assert effective_rank(torch.ones(10), 0.9) == 9
    assert effective_rank(torch.zeros(10), 0.9) == 0
    low = torch.randn(20, 3) @ torch.randn(3, 30)
    assert effective_rank(energies(low), 0.9999) == 3


@pytest.mark.parametrize("lm", ["llama_tied", "gpt2", "bert", "t5"], indirect=True)
def test_every_matrix_has_a_layer_and_a_role(lm: Any) -> None:
    found = matrices(lm)
    layers = {layer for layer, _ in found.values()}
    assert layers == set(range(sum(len(stack) for stack in lm.stacks)))
    assert len({role for _, role in found.values()}) >= 4


def test_the_study(studied: Any) -> None:
    result, found, _ = studied("rank")
    run = result.models[0].runs["full"][0]
    assert len(run["matrices"]) == 3 * 7
    assert all(0 < m[kind] <= m["size"] for m in run["matrices"] for kind in ("weights", "update", "random"))
    assert all(curve == sorted(curve) and curve[-1] == pytest.approx(100) for curve in run["curves"].values())
    assert found.claims[0].verdict == "differs"  # this model's weights are random
    assert len(found.tables) == 2 and len(found.charts) == 2
