"""The next token of each row: the best one, or one drawn with the row's own random numbers; and its log-probability."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from luthier.core.records import Sampling

NUCLEUS = 256  # tokens that are ranked first: sorting a whole vocabulary costs more than a model's step


def own_random(seed: int, index: int) -> torch.Generator:
    """Random numbers of request `index` under a seed: the same ones whatever stands beside it."""
    digest = hashlib.sha256(f"{seed} {index}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def draw(
    logits: Tensor, samplings: Sequence[Sampling], randoms: Sequence[torch.Generator | None]
) -> tuple[Tensor, Tensor]:
    """Tokens and their log-probabilities at temperature 1, in nats, both (B,) on the CPU, from logits (B, V).

    A row of temperature 0 takes the best token and needs no random numbers.
    """
    logits = logits.float()
    best = logits.max(-1)
    tokens = best.indices
    together: dict[tuple[float, float], list[int]] = {}
    for row, sampling in enumerate(samplings):
        if sampling.temperature > 0:
            together.setdefault((sampling.temperature, sampling.top_p), []).append(row)
    for (temperature, top_p), rows in together.items():
        u = torch.cat([torch.rand(1, dtype=torch.float64, generator=randoms[row]) for row in rows])
        tokens[rows] = at_shares((logits[rows] / temperature).softmax(-1), top_p, u.to(logits.device))
    said = logits.gather(1, tokens[:, None])[:, 0] - best.values
    # the greatest logit is known already: half the passes of logsumexp
    return tokens.cpu(), (said - logits.sub_(best.values[:, None]).exp_().sum(-1).log()).cpu()


def at_shares(p: Tensor, top_p: float, u: Tensor) -> Tensor:
    """The tokens (B,) at shares u (B,) in [0, 1) of probabilities p (B, V), of which the top-p nucleus counts alone.

    Tokens are passed in the order of the vocabulary: two of nearly one probability do not change places.
    """
    if top_p >= 1:
        return _passed(p, u)
    ranked, order = p.topk(min(NUCLEUS, p.shape[1]))
    if bool((ranked.sum(-1) < top_p).any()):
        ranked, order = p.sort(-1, descending=True)
    ranked = ranked.masked_fill(ranked.cumsum(-1) - ranked >= top_p, 0)
    order, back = order.sort(-1)
    return order.gather(1, _passed(ranked.gather(1, back), u)[:, None])[:, 0]


def _passed(p: Tensor, u: Tensor) -> Tensor:
    """Where the running sum of p (B, n) passes the share u (B,) of its total."""
    sums = p.cumsum(-1, dtype=torch.float64)
    return torch.searchsorted(sums, u[:, None] * sums[:, -1:], right=True)[:, 0].clamp(max=p.shape[1] - 1)
