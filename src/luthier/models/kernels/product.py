"""Float32 matrix products on a CPU, by the faster of the two libraries that torch carries.

torch hands them to MKL, which does not make the most of AVX-512 on processors that are not Intel's; oneDNN does: by a
little on AMD EPYC of one generation, by far on that of another. So the processor says which one serves: a measurement
would be another one beside a busy neighbour, and a run that goes on elsewhere would round differently. Rounding
differs between the two, as it does between numbers of threads.

A few rows, as in writing, wait for the weights: both libraries first copy what they multiply by into an order of their
own. So the weights are multiplied by the rows, w xᵀ, and only the rows are copied; MKL divides the work among threads
this way, too. Which shapes win is told by size and processor, so that every run chooses alike. Microseconds of x wᵀ by
MKL / w xᵀ as chosen here, AMD EPYC, two threads, weights that no cache holds:
2 rows of 576 by (1536, 576): AVX-512 481 / 102, AVX2 483 / 115; by (49152, 576): 20,763 / 3,031 and 22,644 / 3,004;
16 rows by (1536, 576): AVX-512 480 / 255; by (576, 1536): 415 / 225; by (49152, 576): 17,341 / 7,025, AVX2 17,877 /
11,009.
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

SMALL = 1 << 21  # multiplications; oneDNN prepares code for each new shape, which small products do not pay back
THIN = 8  # fewer rows are bound by memory, not by arithmetic
FEWEST, FEW, MANY = 2, 5, 48  # rows: from FEWEST on, w xᵀ by MKL; from FEW to MANY, by oneDNN
TALL = 16  # times as high as wide is a vocabulary's head: w xᵀ by oneDNN wins on AVX2, too


@cache
def has_onednn() -> bool:
    """Whether this build of torch carries oneDNN with the product that is called here."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


@cache
def onednn_pays() -> bool:
    """Whether oneDNN's products are faster here than MKL's."""
    return has_onednn() and _avx512() and "GenuineIntel" not in _processor()


def _processor() -> str:
    """What the system tells of it: on Linux a text of many lines."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()


def _onednn(x: Tensor, w: Tensor, more: Tensor | None = None) -> Tensor:
    if not (w.is_contiguous() or w.T.is_contiguous()):  # with gaps between its rows it is a hundred times slower
        w = w.contiguous()
    op = torch.ops.mkldnn._linear_pointwise
    return cast(Tensor, op(x, w, None, "none", [], "") if more is None else op.binary(x, more, w, None, "add"))


def _few(x: Tensor, w: Tensor) -> Tensor | None:
    """x wᵀ of few rows as (w xᵀ)ᵀ: x (…, k), w (n, k) -> (…, n); None where that does not pay."""
    rows, (high, wide) = x.numel() // max(x.shape[-1], 1), w.shape
    suits = x.device.type == "cpu" and x.dtype == w.dtype == torch.float32 and w.is_contiguous()
    if not (suits and FEWEST <= rows <= MANY and rows * w.numel() >= SMALL):
        return None
    flat = x.reshape(rows, wide)
    if rows < FEW:
        turned = torch.mm(w, flat.T) if high >= wide else None
    else:
        pays = has_onednn() and (_avx512() or high >= TALL * wide)
        turned = _onednn(w, flat.contiguous()) if pays else None
    return None if turned is None else turned.T.contiguous().view(*x.shape[:-1], high)


def _avx512() -> bool:
    return torch.backends.cpu.get_cpu_capability() == "AVX512"


def large(x: Tensor, w: Tensor) -> bool:
    """Whether x wᵀ is for oneDNN: here, and of that size."""
    rows = x.numel() // max(x.shape[-1], 1)
    return (
        x.device.type == "cpu"
        and x.dtype == w.dtype == torch.float32
        and rows >= THIN
        and rows * w.numel() >= SMALL
        and onednn_pays()
    )


def product(x: Tensor, w: Tensor, more: Tensor | None = None) -> Tensor:
    """x wᵀ + more: x (…, k), w (n, k), more (…, n) -> (…, n). Without a graph: for the inside of autograd functions."""
    out = _few(x, w)
    if out is None:
        if large(x, w):
            return _onednn(x, w, more)
        out = F.linear(x, w)
    return out if more is None else out.add_(more)


def outer(g: Tensor, x: Tensor) -> Tensor:
    """gᵀ x of many rows: g (n, p), x (n, q) -> (p, q). The narrower one is what is first copied into columns."""
    return product(g.T, x.T) if g.shape[1] <= x.shape[1] else product(x.T, g.T).T


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return product(x, w)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        dx = product(grads[0], w.T) if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return dx, None
        return dx, outer(grads[0].reshape(-1, w.shape[0]), x.reshape(-1, w.shape[1]))


def linear(x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear` with both passes by the faster library."""
    y = None if torch.is_grad_enabled() else _few(x, w)
    if y is None:
        if not large(x, w):
            return F.linear(x, w, bias)
        y = cast(Tensor, _Linear.apply(x, w)) if torch.is_grad_enabled() else _onednn(x, w)
    return y if bias is None else y + bias
