"""A linear layer with a low-rank update folded into its weight for the length of a training step."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from luthier.models.surgery import matrix_of


class _Folded(torch.autograd.Function):
    """x (W + s B A)ᵀ with one large product each way; dA and dB come from rank-r products, dW is never built."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(x, w, a, b)
        ctx.scale = scale
        return F.linear(x, torch.addmm(w, b, a, alpha=scale))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, w, a, b = ctx.saved_tensors
        s = ctx.scale
        g, flat = grads[0].reshape(-1, w.shape[0]), x.reshape(-1, w.shape[1])
        da = (g @ b).T @ flat * s if ctx.needs_input_grad[2] else None
        db = g.T @ (flat @ a.T) * s if ctx.needs_input_grad[3] else None
        dx = (g @ torch.addmm(w, b, a, alpha=s)).view(x.shape) if ctx.needs_input_grad[0] else None
        return dx, None, da, db, None


class LoraLinear(nn.Module):
    """A frozen linear layer and its update: a (r, in) with Kaiming's uniform start, b (out, r) zero.

    The layer may be GPT-2's Conv1D, whose weight is (in, out).
    """

    def __init__(self, base: nn.Module, rank: int, scale: float) -> None:
        super().__init__()
        self.base, self.scale = base, scale
        weight = matrix_of(base)
        self.a = nn.Parameter(torch.empty(rank, weight.shape[1], dtype=torch.float32, device=weight.device))
        self.b = nn.Parameter(torch.zeros(weight.shape[0], rank, dtype=torch.float32, device=weight.device))
        nn.init.kaiming_uniform_(self.a, a=5**0.5)

    @property
    def weight(self) -> Tensor:
        """The frozen layer's: models ask for its type (T5)."""
        return self.base.weight  # type: ignore[return-value]

    def folded(self) -> Tensor:
        """W + s B A, in the base's dtype."""
        w = matrix_of(self.base)
        return torch.addmm(w.detach(), self.b.detach().to(w.dtype), self.a.detach().to(w.dtype), alpha=self.scale)

    def forward(self, x: Tensor) -> Tensor:
        w = matrix_of(self.base)
        a, b = self.a.to(w.dtype), self.b.to(w.dtype)
        if torch.is_grad_enabled():
            y = cast(Tensor, _Folded.apply(x, w, a, b, self.scale))
        else:  # a few tokens at a time: folding would cost more than it saves
            y = torch.addmm(F.linear(x, w).view(-1, w.shape[0]), (x @ a.T).view(-1, a.shape[0]), b.T, alpha=self.scale)
            y = y.view(*x.shape[:-1], w.shape[0])
        bias: Tensor | None = self.base.bias  # type: ignore[assignment]
        return y if bias is None else y + bias
