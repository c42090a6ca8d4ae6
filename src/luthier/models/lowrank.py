"""A linear layer with a low-rank update folded into its weight for the length of a training step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from luthier.models.surgery import matrix_of, matrix_shape

# which of A and B begin random: normal, with the variance of Kaiming's uniform start for their own input, 1 / (3 width)
STARTS: Mapping[str, tuple[bool, bool]] = {
    "gauss_zero": (True, False),
    "gauss_gauss": (True, True),
    "zero_zero": (False, False),
    "zero_gauss": (False, True),
}


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
    """A frozen linear layer and its update: a (r, in) and b (out, r), begun as `STARTS[start]` says.

    The layer may be GPT-2's Conv1D, whose weight is (in, out).
    """

    def __init__(self, base: nn.Module, rank: int, scale: float, start: str = "gauss_zero") -> None:
        super().__init__()
        self.base, self.scale = base, scale
        out, width = matrix_shape(base)
        device = next(base.parameters()).device
        self.a = nn.Parameter(torch.zeros(rank, width, dtype=torch.float32, device=device))
        self.b = nn.Parameter(torch.zeros(out, rank, dtype=torch.float32, device=device))
        for p, random in zip((self.a, self.b), STARTS[start], strict=True):
            if random:
                nn.init.normal_(p, std=(3 * p.shape[1]) ** -0.5)

    @property
    def weight(self) -> Tensor:
        """The frozen layer's: models ask for its type (T5)."""
        return self.base.weight  # type: ignore[return-value]

    def matrix(self) -> Tensor:
        """The frozen W (out, in), in the type that products are taken in."""
        return matrix_of(self.base).detach()

    @torch.no_grad()
    def folded(self) -> Tensor:
        """W + s B A, in the base's dtype."""
        w = self.matrix()
        return torch.addmm(w, self.b.to(w.dtype), self.a.to(w.dtype), alpha=self.scale)

    def product(self, x: Tensor) -> Tensor:
        """x (W + s B A)ᵀ, without the bias."""
        w = self.matrix()
        a, b = self.a.to(w.dtype), self.b.to(w.dtype)
        if torch.is_grad_enabled():
            return cast(Tensor, _Folded.apply(x, w, a, b, self.scale))
        # a few tokens at a time: folding would cost more than it saves
        y = torch.addmm(F.linear(x, w).view(-1, w.shape[0]), (x @ a.T).view(-1, a.shape[0]), b.T, alpha=self.scale)
        return y.view(*x.shape[:-1], w.shape[0])

    def forward(self, x: Tensor) -> Tensor:
        y = self.product(x)
        bias: Tensor | None = self.base.bias  # type: ignore[assignment]
        return y if bias is None else y + bias


class DroppedLora(LoraLinear):
    """An update that sees its input through dropout while gradients are taken: nothing can be folded then."""

    dropout: float = 0.0

    def product(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return super().product(x)
        w = self.matrix()
        seen = F.dropout(x, self.dropout)
        return F.linear(x, w) + self.scale * (seen @ self.a.to(w.dtype).T) @ self.b.to(w.dtype).T


class DoraLinear(LoraLinear):
    """Magnitude and direction apart: rows of W + s B A are scaled to the lengths m (out,), W's own at the start.

    The length of the direction counts as a constant in the backward pass (Liu et al. 2024, section 4.3).
    """

    def __init__(self, base: nn.Module, rank: int, scale: float, start: str = "gauss_zero") -> None:
        super().__init__(base, rank, scale, start)
        self.m = nn.Parameter(self.matrix().float().norm(dim=1))

    def scaling(self) -> Tensor:
        """m over the length of each row, (out,)."""
        with torch.no_grad():
            length = super().folded().float().norm(dim=1)
        return cast(Tensor, (self.m / length).to(self.matrix().dtype))

    def product(self, x: Tensor) -> Tensor:
        return super().product(x) * self.scaling()

    @torch.no_grad()
    def folded(self) -> Tensor:
        return super().folded() * self.scaling()[:, None]


class DroppedDora(DoraLinear, DroppedLora):
    """Both: dropout on the way to the update, the whole scaled to the lengths m."""
