"""Muon: the momentum of each hidden matrix made orthogonal by Newton–Schulz steps; the other weights by AdamW.

A step of a matrix is scaled by 0.2·√max(rows, columns), so that it is as large as AdamW's (root mean square) and one
learning rate serves both. The factors of an adapter are hidden matrices, too, each made orthogonal by itself: they want
a rate about ten times AdamW's. Source: Jordan et al. 2024, "Muon"; the scale: Liu et al. 2025 (arXiv:2502.16982).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from luthier.training.optimizers import Parts

MOMENTUM = 0.95
NEWTON_SCHULZ, STEPS = (3.4445, -4.775, 2.0315), 5


class States:
    """What optimisers keep, by parameter: each where its own optimiser looks for it."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.of: dict[Tensor, dict[Tensor, dict[str, Tensor]]] = {
            p: part.state for part in parts for group in part.param_groups for p in group["params"]
        }

    def __getitem__(self, p: Tensor) -> dict[str, Tensor]:
        return self.of[p][p]

    def get(self, p: Tensor, default: dict[str, Tensor]) -> dict[str, Tensor]:
        """Of a parameter that has been moved; the default for others."""
        return self.of[p].get(p, default)

    def clear(self) -> None:
        """Forget all."""
        for state in self.of.values():
            state.clear()


class Both:
    """Two optimisers that share the parameters between them, as one."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        self.parts = parts
        self.state = States(parts)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of both: what is set in them holds."""
        return [group for part in self.parts for group in part.param_groups]

    def step(self) -> None:
        """Move all parameters."""
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)


class Orthogonal(torch.optim.Optimizer):
    """Matrices, each moved by its momentum made orthogonal. parts: where all of a matrix is known."""

    def __init__(self, groups: Sequence[dict[str, Any]], rate: float, parts: Parts) -> None:
        super().__init__(groups, {"lr": rate, "weight_decay": 0.0})
        self.parts = parts

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Nesterov's momentum, its whole made orthogonal, and of that the part that is here."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(p.grad)
                held = state["momentum_buffer"].lerp_(p.grad, 1 - MOMENTUM)
                whole = self.parts.gathered(p, p.grad.lerp(held, MOMENTUM))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                scale = 0.2 * math.sqrt(max(whole.shape))
                p.add_(self.parts.parted(p, orthogonal(whole)), alpha=-group["lr"] * scale)


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest orthogonal matrix, roughly: singular values between 0.5 and 1.5, in bfloat16 (Jordan et al. 2024)."""
    a, b, c = NEWTON_SCHULZ
    x = matrix.bfloat16()
    if tall := matrix.shape[0] > matrix.shape[1]:
        x = x.T
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(STEPS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


def make(
    groups: Sequence[dict[str, Any]], hidden: Collection[int], rate: float, epsilon: float, parts: Parts
) -> Both:  # fmt: skip
    """The optimiser over these groups."""
    sides: list[list[dict[str, Any]]] = [[], []]
    for group in groups:
        for mine, wanted in zip(sides, (True, False), strict=True):
            if params := [p for p in group["params"] if (id(p) in hidden) is wanted]:
                mine.append({**group, "params": params})
    made: list[torch.optim.Optimizer] = []
    if sides[0]:
        made.append(Orthogonal(sides[0], rate, parts))
    if sides[1]:
        made.append(torch.optim.AdamW(sides[1], lr=rate, eps=epsilon, fused=True))
    return Both(*made)
