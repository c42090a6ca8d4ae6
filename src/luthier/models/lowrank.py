"""A linear layer with a low-rank update folded into its weight for the length of a training step."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from luthier.models.product import large, product
from luthier.models.surgery import matrix_of


class _Folded(torch.autograd.Function):
    """x (W + s B A)ᵀ of the layers that read x, with one large product forward and one a layer back; dW is never built.

    x Aᵀ comes as further columns of the product forward, and g B as further columns of the one back: thin products are
    bound by memory. Given for each layer: w (out, in), a (r, in), b (out, r), s.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *parts: Any) -> Tensor | tuple[Tensor, ...]:
        ws, down, up, ctx.scales = parts[::4], parts[1::4], parts[2::4], parts[3::4]
        widths, ranks = [len(w) for w in ws], [len(a) for a in down]
        stacked = x.new_empty(sum(widths) + sum(ranks), x.shape[-1], dtype=ws[0].dtype)
        *folded, low = stacked.split([*widths, sum(ranks)])
        for w, a, b, s, into in zip(ws, down, up, ctx.scales, folded, strict=True):
            torch.addmm(w, b, a, alpha=s, out=into)
        torch.cat(down, out=low)
        if large(x, stacked):
            *ys, low = product(x, stacked).split([*widths, sum(ranks)], -1)
        else:  # apart: the frozen layer's outputs bit for bit as long as B is zero
            ys, low = product(x, stacked[: sum(widths)]).split(widths, -1), product(x, low)
        ctx.save_for_backward(x, low.reshape(-1, sum(ranks)).clone(), *ws, *down, *up)
        return tuple(ys) if len(ys) > 1 else ys[0]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        n = len(grads)
        x, low, *kept = ctx.saved_tensors
        ws, down, up = kept[:n], kept[n : 2 * n], kept[2 * n :]
        gs, ranks, k = [g.reshape(-1, g.shape[-1]) for g in grads], [len(a) for a in down], x.shape[-1]
        first = 0 if ctx.needs_input_grad[0] else k  # of the columns: k for x, then r for each layer
        both: Tensor | None = None
        for i, (g, w, a, b, s) in enumerate(zip(gs, ws, down, up, ctx.scales, strict=True)):
            wide = x.new_empty(len(w), k + sum(ranks) - first, dtype=w.dtype)
            wide[:, k - first :] = 0
            if not first:
                torch.addmm(w, b, a, alpha=s, out=wide[:, :k])
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
        return self.biased(y)

    def biased(self, y: Tensor) -> Tensor:
        """With the frozen layer's bias."""
        bias: Tensor | None = self.base.bias  # type: ignore[assignment]
        return y if bias is None else y + bias


def together(x: Tensor, *layers: nn.Module) -> list[Tensor]:
    """What the layers give for the same x: one product where all of them are LoRA's and gradients are taken."""
    if not torch.is_grad_enabled() or any(type(layer) is not LoraLinear for layer in layers):
        return [layer(x) for layer in layers]
    parts: list[Any] = []
    for layer in cast(tuple[LoraLinear, ...], layers):
        w = matrix_of(layer.base)
        parts += [w, layer.a.to(w.dtype), layer.b.to(w.dtype), layer.scale]
    ys = cast(tuple[Tensor, ...], _Folded.apply(x, *parts))
    return [cast(LoraLinear, layer).biased(y) for layer, y in zip(layers, ys, strict=True)]
