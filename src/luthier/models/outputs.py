"""What a forward pass gives an objective: states at the places that are read, and what heads say there.

Everything is differentiable and computed in chunks of rows, so that tokens × vocabulary is never held: `logprobs`,
`entropy` and `kl` keep (N, d) and compute their logits again in the backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from luthier.models.kernels.vocabulary_head import CHUNK, Gradients, VocabHead

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM

LEAST = 1e-12  # mass of what is not among k tokens, so that its logarithm is a number
# From a chunk of logits (n, V) in float32 and the place of its first row: what is wanted of each row (n,), and the
# gradient of that with respect to the logits (n, V).
Rowwise = Callable[[Tensor, int], tuple[Tensor, Callable[[Tensor], Tensor]]]


@dataclass
class Outputs:
    """hidden: (N, d) at `batch.where`. targets: (N,) token or label ids there. lm: the model that made them."""

    hidden: Tensor
    lm: TrainableLM
    targets: Tensor

    def logprobs(self, temperature: float = 1.0) -> Tensor:
        """log p(target) at each place, (N,) float32 in nats."""

        def rowwise(logits: Tensor, at: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
            logp = (logits / temperature).log_softmax(-1)
            chosen = self.targets[at : at + len(logits), None]
            return logp.gather(1, chosen)[:, 0], lambda g: _pick_back(logp, chosen, g / temperature)

        return self._of_vocabulary(rowwise)

    def entropy(self, temperature: float = 1.0) -> Tensor:
        """Entropy of the next token at each place, (N,) in nats."""

        def rowwise(logits: Tensor, at: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
            logp = (logits / temperature).log_softmax(-1)
            p = logp.exp()
            h = -(p * logp).sum(-1)
            return h, lambda g: (p * (logp + h[:, None])).mul_(-g[:, None] / temperature)

        return self._of_vocabulary(rowwise)

    def kl(self, ids: Tensor, logprobs: Tensor, temperature: float = 1.0) -> Tensor:
        """KL(given ‖ model) at each place, (N,) in nats, over k given tokens and the rest as one more outcome.

        ids: (N, k) tokens. logprobs: (N, k) the given log-probabilities; what they lack of 1 is the rest.
        """

        def rowwise(logits: Tensor, at: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
            chosen, given = ids[at : at + len(logits)], logprobs[at : at + len(logits)].float()
            logp = (logits / temperature).log_softmax(-1)
            own = logp.gather(1, chosen)
            rest, own_rest = _rest(given), logp.scatter(1, chosen, -torch.inf).logsumexp(-1)
            own_rest = own_rest.clamp_min(math.log(LEAST))
            value = (given.exp() * (given - own)).sum(-1) + rest.exp() * (rest - own_rest)

            def back(g: Tensor) -> Tensor:
                p = logp.exp()
                # of the tokens outside k: -(rest / own_rest) of each one's share
                weight = -(rest - own_rest).exp()[:, None].expand_as(p).clone()
                weight.scatter_(1, chosen, -(given - own).exp())
                direct = p * weight
                return (direct - p * direct.sum(-1, keepdim=True)).mul_(g[:, None] / temperature)

            return value, back

        return self._of_vocabulary(rowwise)

    def head(self, name: str) -> Tensor:
        """What the head of that name reads at each place: (N, K)."""
        return cast(Tensor, self.lm.heads[name](self.hidden))

    def _of_vocabulary(self, rowwise: Rowwise) -> Tensor:
        head = self.lm.head
        return cast(Tensor, _Rowwise.apply(self.hidden, head.weight, head.bias, head, rowwise))


def _pick_back(logp: Tensor, chosen: Tensor, g: Tensor) -> Tensor:
    out = logp.exp().mul_(-g[:, None])
    return out.scatter_add_(1, chosen, g[:, None])


def _rest(logp: Tensor) -> Tensor:
    """log(1 - Σ exp) of each row: the mass of what is not among the k."""
    return torch.log((1 - logp.exp().sum(-1)).clamp_min(LEAST))


class _Rowwise(torch.autograd.Function):
    """A number a row of the logits, chunk by chunk; the backward pass makes the logits again."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, head: VocabHead, rowwise: Rowwise
    ) -> Tensor:
        ctx.save_for_backward(hidden, weight, *(() if bias is None else (bias,)))
        ctx.head, ctx.rowwise = head, rowwise
        parts = [rowwise(head.logits(hidden[at : at + CHUNK]).float(), at)[0] for at in range(0, len(hidden), CHUNK)]
        return torch.cat(parts) if parts else hidden.new_zeros(0, dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, *more = ctx.saved_tensors
        found = Gradients(hidden, weight, more[0] if more else None, ctx.needs_input_grad)
        for at in range(0, len(hidden), CHUNK):
            logits = ctx.head.logits(hidden[at : at + CHUNK]).float()
            back = ctx.rowwise(logits, at)[1]
            found.add(at, back(grads[0][at : at + CHUNK].float()).mul_(ctx.head.slope(logits)).to(weight.dtype))
        return *found.all(), None, None
