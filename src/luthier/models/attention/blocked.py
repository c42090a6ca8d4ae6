"""Causal attention of one long sequence in blocks of queries, by the faster products of `kernels.product`.

Keys may begin before the queries do. A block sees only the keys up to its end. Its probabilities are made again in the
backward pass, so that memory grows with the length and not with its square, as in Dao et al. 2022, "FlashAttention".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor

from luthier.models.kernels.product import onednn_pays, product

BLOCK, ROWS = 128, 256  # queries of a block, at least; rows of its products: fewer queries where heads are in groups
SHORTEST = 192  # tokens; below, torch's own is as fast: there calls cost more than products


def serves(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Whether it is for these and faster than torch's own: q (1, heads, n, d), k and v (1, kv_heads, m, d)."""
    suits = q.device.type == "cpu" and q.dtype == torch.float32 and len(q) == 1 and v.shape == k.shape
    return suits and k.shape[2] >= q.shape[2] >= SHORTEST and onednn_pays()


def causal(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """q (1, heads, n, d), k and v (1, kv_heads, m, d) -> (1, heads, n, d): the queries are the last n of m places."""
    out = _Causal.apply(q[0].transpose(0, 1), k[0].contiguous(), v[0].contiguous(), scale)
    return cast(Tensor, out).transpose(0, 1)[None]


class _Causal(torch.autograd.Function):
    """q (n, heads, d), k and v (kv_heads, m, d) -> (n, heads, d): the heads of a group stand below each other."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
        for group, block, end, _, p in _blocks(q, k, scale):
            out[block].copy_(product(p, v[group, :end].T).view(-1, len(q[0]) // len(k), q.shape[-1]))
        ctx.save_for_backward(q, k, v, out)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out = ctx.saved_tensors
        g, d = grads[0], q.shape[-1]
        held = (g * out).sum(-1, keepdim=True)  # what the softmax's own gradient takes off
        dq = torch.empty(q.shape, dtype=q.dtype, device=q.device)
        dk, dv = (t.new_zeros(len(t), d, t.shape[1]) for t in (k, v))  # transposed
        for group, block, end, queries, p in _blocks(q, k, ctx.scale):
            given = g[block].reshape(-1, d)
            dv[group, :, :end] += product(given.T, p.T)
            ds = product(given, v[group, :end]).sub_(held[block].reshape(-1, 1)).mul_(p)
            dk[group, :, :end] += product(queries.T, ds.T)
            torch.mul(product(ds, k[group, :end].T).view(dq[block].shape), ctx.scale, out=dq[block])
        return dq, dk.transpose(1, 2), dv.transpose(1, 2), None


def _blocks(q: Tensor, k: Tensor, scale: float) -> Iterator[tuple[int, tuple[slice, slice], int, Tensor, Tensor]]:
    """For every block of queries and group of heads: the group, the block's place in q, its end among the keys, with

    scaled queries (tokens × heads of the group, d) and probabilities (tokens × heads of the group, end).
    """
    n, heads, d = q.shape
    share, past = heads // len(k), k.shape[1] - n
    most = -(-n // max(round(n / max(BLOCK, ROWS // share)), 1))  # of one size: a rest of few costs as much as many
    later = torch.full((most, most), -torch.inf, dtype=q.dtype, device=q.device).triu_(1)[:, None]
    for at in range(0, n, most):
        size = min(most, n - at)
        first, end = past + at, past + at + size
        for group in range(len(k)):
            block = (slice(at, at + size), slice(group * share, (group + 1) * share))
            queries = q[block].reshape(-1, d) * scale
            scores = product(queries, k[group, :end])
            scores.view(size, share, end)[:, :, first:] += later[:size, :, :size]
            yield group, block, end, queries, torch.softmax(scores, -1)
