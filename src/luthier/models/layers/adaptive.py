"""A linear layer with an update in the form of a singular value decomposition, P Λ Q, and what its parts are worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from luthier.models.layers.lowrank import LoraLinear


class SvdLinear(LoraLinear):
    """W + s · B diag(e) A, where a (r, in) is Q and b (out, r) is P, random with rows and columns of about length 1.

    e (r, 1) is Λ, zero at first. kept: (r,) bool, the triplets that have not been pruned.
    """

    kept: Tensor

    def __init__(self, base: nn.Module, rank: int, scale: float, betas: tuple[float, float]) -> None:
        super().__init__(base, rank, scale, "zero_zero")
        nn.init.normal_(self.a, std=self.a.shape[1] ** -0.5)
        nn.init.normal_(self.b, std=self.b.shape[0] ** -0.5)
        self.e = nn.Parameter(torch.zeros(rank, 1, device=self.a.device))
        self.register_buffer("kept", torch.ones(rank, dtype=torch.bool, device=self.a.device), persistent=False)
        self.importance = Importance({"a": self.a, "b": self.b, "e": self.e}, *betas)

    def factors(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        a, b = (self.a * self.e).to(dtype), self.b.to(dtype)
        if torch.is_grad_enabled() or bool(self.kept.all()):
            return a, b  # a pruned triplet takes part in training: its value may come back
        return a[self.kept], b[:, self.kept]

    def orthogonality(self) -> Tensor:
        """‖A Aᵀ − I‖² + ‖Bᵀ B − I‖² (Frobenius): zero when both are orthogonal."""
        eye = torch.eye(len(self.a), device=self.a.device)
        return (self.a @ self.a.T - eye).square().sum() + (self.b.T @ self.b - eye).square().sum()

    @torch.no_grad()
    def prune(self) -> None:
        """Set the singular values of what is not kept to zero."""
        self.e.mul_(self.kept[:, None])


class Importance:
    """Smoothed sensitivity and its uncertainty of every number of an `SvdLinear`; the score of each triplet.

    score of triplet i = s(e_i) + mean_j s(a_ij) + mean_k s(b_ki), s = average(|w·∇w|) · average deviation from it.
    """

    def __init__(self, parts: dict[str, nn.Parameter], beta1: float, beta2: float) -> None:
        self.parts, self.beta1, self.beta2 = parts, beta1, beta2
        self.average = {n: torch.zeros_like(p, requires_grad=False) for n, p in parts.items()}
        self.deviation = {n: torch.zeros_like(p, requires_grad=False) for n, p in parts.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the gradients as they are now."""
        for name, p in self.parts.items():
            now = (p * p.grad).abs_() if p.grad is not None else torch.zeros_like(p)
            self.average[name].lerp_(now, 1 - self.beta1)
            self.deviation[name].lerp_(now.sub_(self.average[name]).abs_(), 1 - self.beta2)

    def scores(self) -> Tensor:
        """(r,) one score a triplet."""
        s = {n: self.average[n] * self.deviation[n] for n in self.parts}
        return s["e"][:, 0] + s["a"].mean(1) + s["b"].mean(0)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """All that it remembers, by name; to be copied into for resume."""
        for kind, found in (("average", self.average), ("deviation", self.deviation)):
            for name, tensor in found.items():
                yield f"{kind}.{name}", tensor


def keep_best(layers: Sequence[SvdLinear], budget: int) -> None:
    """Mark as kept the `budget` triplets with the highest scores of all layers together."""
    scores = [layer.importance.scores() for layer in layers]
    whole = torch.cat(scores)
    best = torch.zeros_like(whole, dtype=torch.bool)
    best[whole.topk(min(budget, len(whole))).indices] = True
    for layer, kept in zip(layers, best.split([len(s) for s in scores]), strict=True):
        layer.kept.copy_(kept)
