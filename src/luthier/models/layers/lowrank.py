"""A linear layer with a low-rank update: folded into its weight for the length of a training step, or beside it.

Folded it costs one product. In 16 bits it stays beside: W + s B A is rounded to steps that are larger than what an
update is at first, so that training would read another model than the one that writes and is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from luthier.models.kernels.product import large, product
from luthier.models.layers.surgery import matrix_of, matrix_shape

# which of A and B begin random: normal, with the variance of Kaiming's uniform start for their own input, 1 / (3 width)
STARTS: Mapping[str, tuple[bool, bool]] = {
    "gauss_zero": (True, False),
    "gauss_gauss": (True, True),
    "zero_zero": (False, False),
    "zero_gauss": (False, True),
}


Matrix = Callable[[], Tensor]  # W (out, in), asked for again in the backward pass: a 4-bit one is not kept meanwhile


class _Folded(torch.autograd.Function):
    """x (W + s B A)ᵀ of the layers that read x, with one large product forward and one a layer back; dW is never built.

    x Aᵀ comes as further columns of the product forward, and g B as further columns of the one back: thin products are
    bound by memory. Given for each layer: what gives W (out, in), a (r, in), b (out, r), s.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *parts: Any) -> Tensor | tuple[Tensor, ...]:
        ctx.matrices, down, up, ctx.scales = parts[::4], parts[1::4], parts[2::4], parts[3::4]
        widths, ranks = [len(b) for b in up], [len(a) for a in down]
        stacked = x.new_empty(sum(widths) + sum(ranks), x.shape[-1], dtype=down[0].dtype)
        *folded, low = stacked.split([*widths, sum(ranks)])
        for matrix, a, b, s, into in zip(ctx.matrices, down, up, ctx.scales, folded, strict=True):
            torch.addmm(matrix(), b, a, alpha=s, out=into)
        torch.cat(down, out=low)
        if large(x, stacked):
            *ys, low = product(x, stacked).split([*widths, sum(ranks)], -1)
        else:  # apart: the frozen layer's outputs bit for bit as long as B is zero
            ys, low = product(x, stacked[: sum(widths)]).split(widths, -1), product(x, low)
        ctx.save_for_backward(x, low.reshape(-1, sum(ranks)).clone(), *down, *up)
        return tuple(ys) if len(ys) > 1 else ys[0].clone()  # a part of a product may not be changed in place (Falcon)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        n = len(grads)
        x, low, *kept = ctx.saved_tensors
        down, up = kept[:n], kept[n:]
        gs, ranks, k = [g.reshape(-1, g.shape[-1]) for g in grads], [len(a) for a in down], x.shape[-1]
        first = 0 if ctx.needs_input_grad[0] else k  # of the columns: k for x, then r for each layer
        both: Tensor | None = None
        for i, (g, matrix, a, b, s) in enumerate(zip(gs, ctx.matrices, down, up, ctx.scales, strict=True)):
            wide = x.new_empty(len(b), k + sum(ranks) - first, dtype=b.dtype)
            wide[:, k - first :] = 0
            if not first:
                torch.addmm(matrix(), b, a, alpha=s, out=wide[:, :k])
            at = k - first + sum(ranks[:i])
            wide[:, at : at + ranks[i]] = b
            both = product(g, wide.T, both)
        assert both is not None
        dx, gb = both.split([k - first, sum(ranks)], -1)
        das = product(gb.T, x.reshape(-1, k).T).split(ranks)
        out: list[Any] = [None if first else dx.view(x.shape)]
        for g, xa, da, s in zip(gs, low.split(ranks, -1), das, ctx.scales, strict=True):
            out += [None, da * s, product(xa.T, g.T).T * s, None]
        return tuple(out)


def beside(x: Tensor, w: Tensor, a: Tensor, b: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """x Wᵀ + s (x Aᵀ) Bᵀ and x Aᵀ, of rows x (N, in)."""
    low = x @ a.T
    return product(x, w).addmm_(low, b.T, alpha=scale), low


class _Beside(torch.autograd.Function):
    """`beside`, and the same numbers as without gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Matrix, a: Tensor, b: Tensor, scale: float) -> Tensor:
        ctx.matrix, ctx.scale = matrix, scale
        y, low = beside(x, matrix(), a, b, scale)
        ctx.save_for_backward(x, low, a, b)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (g,), (x, low, a, b) = grads, ctx.saved_tensors
        gb = g @ b
        dx = product(g, ctx.matrix().T).addmm_(gb, a, alpha=ctx.scale) if ctx.needs_input_grad[0] else None
        return dx, None, gb.T @ x * ctx.scale, g.T @ low * ctx.scale, None


class _Frozen(torch.autograd.Function):
    """x Wᵀ with a gradient for x alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Matrix) -> Tensor:
        ctx.matrix = matrix
        return F.linear(x, matrix())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0] @ ctx.matrix(), None


def frozen_product(x: Tensor, matrix: Matrix) -> Tensor:
    """x Wᵀ, of which nothing is kept for the backward pass."""
    return cast(Tensor, _Frozen.apply(x, matrix))


class LoraLinear(nn.Module):
    """A frozen linear layer and its update: a (r, in) and b (out, r), begun as `STARTS[start]` says.

    The layer may be GPT-2's Conv1D, whose weight is (in, out).
    """

    axes: ClassVar[Mapping[str, tuple[str, ...]]] = {"a": ("", "in"), "b": ("out", "")}

    def __init__(self, base: nn.Module, rank: int, scale: float, start: str = "gauss_zero") -> None:
        super().__init__()
        self.base, self.scale = base, scale
        out, width = matrix_shape(base)
        weight = matrix_of(base)
        kind = torch.float64 if weight.dtype == torch.float64 else torch.float32
        self.a = nn.Parameter(torch.zeros(rank, width, dtype=kind, device=weight.device))
        self.b = nn.Parameter(torch.zeros(out, rank, dtype=kind, device=weight.device))
        for p, random in zip((self.a, self.b), STARTS[start], strict=True):
            if random:
                nn.init.normal_(p, std=(3 * p.shape[1]) ** -0.5)

    def __getattr__(self, name: str) -> Any:
        """What else is asked of a linear layer is the frozen one's: models look at its weight's type (T5), its bias."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base":  # not made yet
                raise
            return getattr(self.base, name)

    def matrix(self) -> Tensor:
        """The frozen W (out, in), in the type that products are taken in."""
        return matrix_of(self.base).detach()

    def factors(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """A and B as products take them."""
        return self.a.to(dtype), self.b.to(dtype)

    @torch.no_grad()
    def folded(self) -> Tensor:
        """W + s B A, in the base's dtype."""
        w = self.matrix()
        a, b = self.factors(w.dtype)
        return torch.addmm(w, b, a, alpha=self.scale)

    def product(self, x: Tensor) -> Tensor:
        """x (W + s B A)ᵀ, without the bias."""
        a, b = self.factors(x.dtype)
        if torch.is_grad_enabled() and x.dtype == torch.float32:
            return cast(Tensor, _Folded.apply(x, self.matrix, a, b, self.scale))
        flat = x.reshape(-1, x.shape[-1])
        if torch.is_grad_enabled():
            y = cast(Tensor, _Beside.apply(flat, self.matrix, a, b, self.scale))
        else:  # a few tokens at a time: folding would cost more than it saves
            y, _ = beside(flat, self.matrix(), a, b, self.scale)
        return y.view(*x.shape[:-1], y.shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        return self.biased(self.product(x))

    def biased(self, y: Tensor) -> Tensor:
        """With the frozen layer's bias."""
        bias: Tensor | None = self.base.bias  # type: ignore[assignment]
        return y if bias is None else y + bias


class DroppedLora(LoraLinear):
    """An update that sees its input through dropout while gradients are taken: nothing can be folded then."""

    dropout: float = 0.0

    def product(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return super().product(x)
        a, b = self.factors(x.dtype)
        return frozen_product(x, self.matrix) + self.scale * (F.dropout(x, self.dropout) @ a.T) @ b.T


class DoraLinear(LoraLinear):
    """Magnitude and direction apart: rows of W + s B A are scaled to the lengths m (out,), W's own at the start.

    The length of the direction counts as a constant in the backward pass (Liu et al. 2024, section 4.3).
    """

    axes: ClassVar[Mapping[str, tuple[str, ...]]] = {}  # a row's length is that of all its columns

    def __init__(self, base: nn.Module, rank: int, scale: float, start: str = "gauss_zero") -> None:
        super().__init__(base, rank, scale, start)
        self.m = nn.Parameter(self.matrix().float().contiguous().norm(dim=1))  # laid out as `folded` is: the same sums

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


class ApartLora(LoraLinear):
    """An update beside a frozen product that is taken in another number format: in its own, never folded."""

    dropout: float = 0.0

    def product(self, x: Tensor) -> Tensor:
        a, b = self.factors(x.dtype)
        seen = F.dropout(x, self.dropout, torch.is_grad_enabled())
        return cast(Tensor, self.base.product(x)) + self.scale * (seen @ a.T) @ b.T  # type: ignore[operator]


class ApartDora(DoraLinear, ApartLora):
    """The same, the whole scaled to the lengths m."""


def together(x: Tensor, *layers: nn.Module) -> list[Tensor]:
    """What the layers give for the same x: one product where all of them are LoRA's and folded."""
    if (
        not torch.is_grad_enabled()
        or x.dtype != torch.float32
        or any(type(layer) is not LoraLinear for layer in layers)
    ):
        return [layer(x) for layer in layers]
    parts: list[Any] = []
    for layer in cast(tuple[LoraLinear, ...], layers):
        parts += [layer.matrix, *layer.factors(x.dtype), layer.scale]
    ys = cast(tuple[Tensor, ...], _Folded.apply(x, *parts))
    return [cast(LoraLinear, layer).biased(y) for layer, y in zip(layers, ys, strict=True)]
