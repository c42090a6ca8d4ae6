"""What a forward pass gives an objective: states at the places that are read, and what heads say there.

Everything is differentiable and computed in chunks of rows, so that tokens × vocabulary is never held. Each number of
`logprobs`, `entropy` and `kl` is of one row alone: where the head is frozen, its gradient by that row's state is taken
while the logits are at hand, and the backward pass multiplies (N, d) by what it is given. Where the head trains, the
logits are computed again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from luthier.models.kernels.vocabulary_head import CHUNK, Gradients, VocabHead, head_loss, wide

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM

LEAST = 1e-12  # mass of what is not among k tokens, so that its logarithm is a number
# From a chunk of logits (n, V) in float32, which it may change, and the place of its first row: what is wanted of each
# row (n,), and the gradient of that with respect to the logits (n, V), which is asked once at most.
Rowwise = Callable[[Tensor, int], tuple[Tensor, Callable[[Tensor], Tensor]]]


@dataclass
class Outputs:
    """hidden: (N, d) at `batch.where`. targets: (N,) token or label ids there. lm: the model that made them."""

    hidden: Tensor
    lm: TrainableLM
    targets: Tensor

    def nll(self, weights: Tensor | None = None) -> Tensor:
        """Summed cross-entropy in nats of the targets, each times its weight (N,) where there are some."""
        return head_loss(self.hidden, self.lm.head, self.targets, weights)

    def logprobs(self, temperature: float = 1.0) -> Tensor:
        """log p(target) at each place, (N,) float32 in nats."""

        def rowwise(logits: Tensor, at: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
            chosen = self.targets[at : at + len(logits), None]
            if temperature != 1.0:
                logits.div_(temperature)
            said, top = logits.gather(1, chosen), logits.amax(-1, keepdim=True)
            size = logits.sub_(top).exp_().sum(-1, keepdim=True)  # in place: the logits are the largest thing there is

            def back(g: Tensor) -> Tensor:
                g = g[:, None] / temperature
                return logits.mul_(-g / size).scatter_add_(1, chosen, g)

            return (said - top - size.log())[:, 0], back

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
            chosen, given = ids[at : at + len(logits)], wide(logprobs[at : at + len(logits)])
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
        hidden, weight, bias = self.hidden, self.lm.head.weight, self.lm.head.bias
        if not torch.is_grad_enabled():  # the function below is told only what requires a gradient
            hidden, weight, bias = hidden.detach(), weight.detach(), None if bias is None else bias.detach()
        return cast(Tensor, _Rowwise.apply(hidden, weight, bias, self.lm.head, rowwise))


def _rest(logp: Tensor) -> Tensor:
    """log(1 - Σ exp) of each row: the mass of what is not among the k."""
    return torch.log((1 - logp.exp().sum(-1)).clamp_min(LEAST))


class _Rowwise(torch.autograd.Function):
    """A number a row of the logits, chunk by chunk."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, head: VocabHead, rowwise: Rowwise
    ) -> Tensor:
        states, *trained = ctx.needs_input_grad[:3]
        ctx.head, ctx.rowwise, ctx.frozen = head, rowwise, not any(trained)
        found = Gradients(hidden, weight, bias, (states and ctx.frozen, False, False))
        parts = [wide(head.weight.new_zeros(0))]
        for at in range(0, len(hidden), CHUNK):
            logits = wide(head.logits(hidden[at : at + CHUNK]))
            slope = head.slope(logits)
            values, back = rowwise(logits, at)
            parts.append(values)
            if found.hidden is not None:
                found.add(at, head.back(back(torch.ones_like(values)), slope))
        if ctx.frozen:
            ctx.save_for_backward(found.hidden)
        else:
            ctx.save_for_backward(hidden, weight, *(() if bias is None else (bias,)))
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.frozen:
            (each,) = ctx.saved_tensors
            return wide(each) * grads[0][:, None], None, None, None, None
        hidden, weight, *more = ctx.saved_tensors
        found = Gradients(hidden, weight, more[0] if more else None, ctx.needs_input_grad)
        for at in range(0, len(hidden), CHUNK):
            logits = wide(ctx.head.logits(hidden[at : at + CHUNK]))
            slope = ctx.head.slope(logits)
            back = ctx.rowwise(logits, at)[1]
            found.add(at, ctx.head.back(back(wide(grads[0][at : at + CHUNK])), slope))
        return *found.all(), None, None
