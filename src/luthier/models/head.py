"""Cross-entropy under a vocabulary head without ever holding tokens × vocabulary: chunk by chunk.

The gradients of the hidden states (and of the head, when it trains) are taken in the forward pass, while a chunk's
logits are at hand, so that nothing but (N, d) is kept for the backward pass.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from luthier.models.product import product

CHUNK = 256  # rows of logits held at once: 256 × 49,152 float32 are 50 MB


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        d_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        d_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        for at in range(0, len(hidden), CHUNK):
            h, t = hidden[at : at + CHUNK], targets[at : at + CHUNK]
            logits = product(h, weight).float()
            said = logits.gather(1, t[:, None])
            top = logits.amax(-1, keepdim=True)
            size = logits.sub_(top).exp_().sum(-1, keepdim=True)  # in place: the logits are the largest thing there is
            total += (size.log() + top - said).sum()
            logits.div_(size)[torch.arange(len(t), device=t.device), t] -= 1
            p = logits.to(weight.dtype)
            if d_hidden is not None:
                d_hidden[at : at + CHUNK] = product(p, weight.T)
            if d_weight is not None:
                d_weight = product(p.T, h.T, d_weight)
        ctx.grads = (d_hidden, d_weight)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        g = grads[0]
        d_hidden, d_weight = ctx.grads
        ctx.grads = None
        scaled = [None if d is None else d.mul_(g.to(d.dtype)) for d in (d_hidden, d_weight)]
        return scaled[0], scaled[1], None


def head_loss(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Summed cross-entropy in nats of hidden (N, d) under a head (V, d) with targets (N,); backward runs once."""
    if not torch.is_grad_enabled():  # the function below is told only what requires a gradient
        hidden, weight = hidden.detach(), weight.detach()
    return cast(Tensor, _HeadLoss.apply(hidden, weight, targets))


@torch.no_grad()
def token_logprobs(hidden: Tensor, weight: Tensor, index: Tensor, targets: Tensor) -> Tensor:
    """log p(targets[m]) at the hidden state `index[m]`: hidden (N, d), weight (V, d), index sorted (M,) -> (M,)."""
    out = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
    for at in range(0, len(hidden), CHUNK):
        logits = product(hidden[at : at + CHUNK], weight).float()
        lse = logits.logsumexp(-1)
        lo, hi = (int(x) for x in torch.searchsorted(index, torch.tensor([at, at + CHUNK], device=index.device)))
        local = index[lo:hi] - at
        out[lo:hi] = logits[local, targets[lo:hi]] - lse[local]
    return out
