"""The vocabulary head: logits and cross-entropy without ever holding tokens × vocabulary, chunk by chunk.

The gradients of the hidden states (and of the head, when it trains) are taken in the forward pass, while a chunk's
logits are at hand, so that nothing but (N, d) is kept for the backward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from luthier.models.kernels.product import product

WIDE = {torch.float64: torch.float64}  # of sums, by the format of what is summed; float32 for all others
CHUNK = 256  # rows of logits held at once: 256 × 49,152 float32 are 50 MB


def wide(t: Tensor) -> Tensor:
    """In the format that sums and logarithms are taken in: float32, or float64 where it is that."""
    return t.to(WIDE.get(t.dtype, torch.float32))


@dataclass(frozen=True)
class VocabHead:
    """Logits of hidden states: bent(scale · (h Wᵀ + bias)), bent(u) = softcap · tanh(u / softcap) where there is one.

    weight: (V, d). bias: (V,), such as Phi's. scale: Cohere's, Granite's. softcap: Gemma 2's.
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None

    def logits(self, hidden: Tensor) -> Tensor:
        """(N, d) -> (N, V), in the weight's number format: some models keep their states in a longer one (Mamba)."""
        out = product(hidden.to(self.weight.dtype), self.weight)
        if self.bias is not None:
            out = out + self.bias
        if self.scale != 1.0:
            out = out * self.scale
        return out if self.softcap is None else torch.tanh(out / self.softcap) * self.softcap

    def slope(self, logits: Tensor) -> Tensor | float:
        """d logits / d (h Wᵀ + bias), (N, V) or one number for all."""
        return self.scale if self.softcap is None else (1 - (logits / self.softcap).square()).mul_(self.scale)

    def back(self, d: Tensor, slope: Tensor | float) -> Tensor:
        """From a gradient of the logits (N, V), which is changed, that of h Wᵀ + bias in the weight's number format."""
        return (d if isinstance(slope, float) and slope == 1.0 else d.mul_(slope)).to(self.weight.dtype)


class Gradients:
    """Gradients of hidden states (N, d), a head's weight (V, d) and bias (V,), gathered chunk by chunk.

    needs: which of the three are wanted; the others stay None. Sums over chunks are float32 in every shorter format.
    """

    def __init__(self, hidden: Tensor, weight: Tensor, bias: Tensor | None, needs: Sequence[bool]) -> None:
        self.of, self.given = weight, hidden
        self.hidden = torch.empty_like(hidden) if needs[0] else None
        turned = weight.shape[::-1]  # of the weight: (d, V)
        sums = WIDE.get(weight.dtype, torch.float32)
        self.turned = weight.new_zeros(turned, dtype=sums) if needs[1] else None
        self.bias = torch.zeros_like(bias, dtype=sums) if bias is not None and needs[2] else None

    def add(self, at: int, d: Tensor) -> None:
        """What a chunk's states from `at` on give: d (n, V) is the gradient of h Wᵀ + bias, in the weight's format."""
        chunk = slice(at, at + len(d))
        if self.hidden is not None:
            self.hidden[chunk] = product(d, self.of.T)
        if self.turned is not None:  # the states are what is first copied into columns: they are narrower than d
            self.turned += product(self.given[chunk].to(self.of.dtype).T, d.T)
        if self.bias is not None:
            self.bias += d.sum(0, dtype=self.bias.dtype)

    def all(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Of hidden, weight and bias."""
        return self.hidden, None if self.turned is None else self.turned.T.contiguous(), self.bias


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, head: VocabHead, targets: Tensor,
        weights: Tensor | None,
    ) -> Any:  # fmt: skip
        total = torch.zeros((), dtype=WIDE.get(weight.dtype, torch.float32), device=hidden.device)
        found = Gradients(hidden, weight, bias, ctx.needs_input_grad)
        for at in range(0, len(hidden), CHUNK):
            t = targets[at : at + CHUNK]
            logits = wide(head.logits(hidden[at : at + CHUNK]))
            slope = head.slope(logits)
            said = logits.gather(1, t[:, None])
            top = logits.amax(-1, keepdim=True)
            size = logits.sub_(top).exp_().sum(-1, keepdim=True)  # in place: the logits are the largest thing there is
            losses = size.log() + top - said
            logits.div_(size)[torch.arange(len(t), device=t.device), t] -= 1
            if weights is not None:
                losses = losses * weights[at : at + CHUNK, None]
                logits.mul_(weights[at : at + CHUNK, None])
            total += losses.sum()
            found.add(at, head.back(logits, slope))
        ctx.grads = found.all()
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        g = grads[0]
        scaled = [None if d is None else wide(d).mul_(g) for d in ctx.grads]  # autograd rounds to 16 bits
        ctx.grads = None
        return (*scaled, None, None, None)


def head_loss(hidden: Tensor, head: VocabHead, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Summed cross-entropy in nats of hidden (N, d) under a head with targets (N,); backward runs once.

    weights: (N,) what each place counts; 1 without.
    """
    weight, bias = head.weight, head.bias
    if not torch.is_grad_enabled():  # the function below is told only what requires a gradient
        hidden, weight, bias = hidden.detach(), weight.detach(), None if bias is None else bias.detach()
    return cast(Tensor, _HeadLoss.apply(hidden, weight, bias, head, targets, weights))


@torch.no_grad()
def token_logprobs(hidden: Tensor, head: VocabHead, index: Tensor, targets: Tensor) -> Tensor:
    """log p(targets[m]) at the hidden state `index[m]`: hidden (N, d), index sorted (M,) -> (M,)."""
    out = torch.empty(len(targets), dtype=WIDE.get(head.weight.dtype, torch.float32), device=hidden.device)
    for at in range(0, len(hidden), CHUNK):
        logits = wide(head.logits(hidden[at : at + CHUNK]))
        lse = logits.logsumexp(-1)
        lo, hi = (int(x) for x in torch.searchsorted(index, torch.tensor([at, at + CHUNK], device=index.device)))
        local = index[lo:hi] - at
        out[lo:hi] = logits[local, targets[lo:hi]] - lse[local]
    return out
