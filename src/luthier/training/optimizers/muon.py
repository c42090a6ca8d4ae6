"""Muon: the momentum of each hidden matrix made orthogonal by Newton–Schulz steps; the other weights by AdamW.

A step of a matrix is scaled by 0.2·√max(rows, columns), so that it is as large as AdamW's (root mean square) and one
learning rate serves both. The factors of an adapter are hidden matrices, too, each made orthogonal by itself: they want
a rate about ten times AdamW's. Source: Jordan et al. 2024, "Muon"; the scale: Liu et al. 2025 (arXiv:2502.16982).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor


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


def make(groups: Sequence[dict[str, Any]], hidden: Collection[int], rate: float, epsilon: float) -> Both:
    """The optimiser over these groups."""
    parts: list[list[dict[str, Any]]] = [[], []]
    for group in groups:
        for mine, wanted in zip(parts, (True, False), strict=True):
            if params := [p for p in group["params"] if (id(p) in hidden) is wanted]:
                mine.append({**group, "params": params})
    made: list[torch.optim.Optimizer] = []
    if parts[0]:
        made.append(torch.optim.Muon(parts[0], lr=rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"))
    if parts[1]:
        made.append(torch.optim.AdamW(parts[1], lr=rate, eps=epsilon, fused=True))
    return Both(*made)
