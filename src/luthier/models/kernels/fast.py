"""Forward passes on a CPU, in training, scoring and writing, in fewer passes over memory: same numbers, but rounding.

`fast(model)` gives modules that it knows a forward of their own for the length of a `with` block, whatever a patch has
put inside or around them: frozen or trained weights, LoRA or none. What it does not know runs as it is. A norm and
SwiGLU have backward passes written by hand; layers that read the same input are one product where they are LoRA's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from luthier.models.kernels.product import linear
from luthier.models.layers.lowrank import together


class _RMSNorm(torch.autograd.Function):
    """w x / rms(x); kept for the backward pass: x, and a number a row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, eps: float) -> Tensor:
        inverse = _inverse_rms(x, eps)
        ctx.save_for_backward(x, w, inverse)
        return (x * inverse).mul_(w)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, w, inverse = ctx.saved_tensors
        dw = None
        if ctx.needs_input_grad[1]:
            dw = (grads[0] * x).mul_(inverse).reshape(-1, len(w)).sum(0)
        dx = grads[0] * w
        along = (dx * x).sum(-1, keepdim=True).mul_(inverse.pow(3)).div_(-len(w))
        return dx.mul_(inverse).addcmul_(x, along), dw, None


def _inverse_rms(x: Tensor, eps: float) -> Tensor:
    inverse = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    return cast(Tensor, inverse)


class _SwiGLU(torch.autograd.Function):
    """silu(gate) up; only gate and up are kept."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        gate, up = ctx.saved_tensors
        dup = F.silu(gate).mul_(grads[0])
        return torch.ops.aten.silu_backward(grads[0] * up, gate), dup


class _Rotary(torch.autograd.Function):
    """Pairs (x₁, x₂) of a head's two halves turned by an angle: (x₁ c - x₂ s, x₂ c + x₁ s); the way back turns back.

    x: (B, T, heads, head_dim); cos and sin: (B or 1, T, 1, head_dim / 2).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        return _turned(grads[0], cos, -sin), None, None


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    one, two = x.chunk(2, -1)
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    first, second = out.chunk(2, -1)
    torch.mul(one, cos, out=first).addcmul_(two, sin, value=-1)
    torch.mul(two, cos, out=second).addcmul_(one, sin)
    return out


# Writing a token a step, a function with a backward pass costs as much as what it computes: without a graph it is left.


def _norm(self: Any, hidden_states: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return (hidden_states * _inverse_rms(hidden_states, self.variance_epsilon)).mul_(self.weight)
    return cast(Tensor, _RMSNorm.apply(hidden_states, self.weight, self.variance_epsilon))


def _mlp(self: Any, x: Tensor) -> Tensor:
    gate, up = together(x, self.gate_proj, self.up_proj)
    if not torch.is_grad_enabled():
        return cast(Tensor, self.down_proj(F.silu(gate).mul_(up)))
    return cast(Tensor, self.down_proj(_SwiGLU.apply(gate, up)))


def _attention(
    self: Any, hidden_states: Tensor, position_embeddings: Any = None, attention_mask: Tensor | None = None,
    past_key_values: Any = None, **options: Any,
) -> tuple[Tensor, Any]:  # fmt: skip
    attend = ALL_ATTENTION_FUNCTIONS.get(self.config._attn_implementation)
    if attend is None or past_key_values is not None:
        given = {"position_embeddings": position_embeddings, "attention_mask": attention_mask}
        plain: tuple[Tensor, Any] = type(self).forward(
            self, hidden_states, past_key_values=past_key_values, **given, **options
        )
        return plain
    lead = hidden_states.shape[:-1]
    q, k, v = (y.view(*lead, -1, self.head_dim) for y in together(hidden_states, self.q_proj, self.k_proj, self.v_proj))
    cos, sin = (t[:, :, None, : self.head_dim // 2] for t in position_embeddings)
    turned = _Rotary.apply if torch.is_grad_enabled() else _turned
    q, k = turned(q, cos, sin), turned(k, cos, sin)
    options |= {"scaling": self.scaling, "sliding_window": getattr(self, "sliding_window", None)}
    out, weights = attend(self, *(y.transpose(1, 2) for y in (q, k, v)), attention_mask, **options)
    return self.o_proj(out.reshape(*lead, -1)), weights


def _linear(self: nn.Linear, input: Tensor) -> Tensor:
    return linear(input, self.weight, self.bias)


# of transformers' modules: those of other architectures differ in small ways (a norm's 1 + w, another activation)
_FORWARDS: Mapping[str, Callable[..., Any]] = {
    "Linear": _linear,
    **dict.fromkeys(("LlamaRMSNorm", "Qwen2RMSNorm", "MistralRMSNorm"), _norm),
    **dict.fromkeys(("LlamaMLP", "Qwen2MLP", "MistralMLP"), _mlp),
    **dict.fromkeys(("LlamaAttention", "Qwen2Attention"), _attention),
}


@cache
def _known(kind: Any) -> Callable[..., Any] | None:
    """The forward of a class that is known."""
    ours = kind is nn.Linear or kind.__module__.startswith("transformers.models.")
    return _FORWARDS.get(kind.__name__) if ours else None


def _suits(module: nn.Module) -> bool:
    kind: Any = type(module)
    if _known(kind) is None or ("forward" in vars(module) and module not in _USERS):
        return False
    activation = module._modules.get("act_fn", vars(module).get("act_fn"))
    return activation is None or type(activation).__name__ in ("SiLU", "SiLUActivation")


def _modules(model: nn.Module) -> set[nn.Module]:
    """All of its modules; torch's own walk, which names them, takes as long as some steps."""
    found, open_ = {model}, [model]
    while open_:
        inner = {m for m in open_.pop()._modules.values() if m is not None and m not in found}
        found |= inner
        open_ += inner
    return found


_USERS: dict[nn.Module, int] = {}  # how many `with` blocks, of all threads, a module runs fast in
_COUNTING = threading.Lock()


@contextmanager
def fast(model: nn.Module) -> Iterator[None]:
    """Known modules of a float32 (or float64) model on a CPU run faster inside the `with` block.

    It may be entered again inside, and by several threads: a module is given back by the last one that leaves.
    """
    p = next(model.parameters())
    suits = p.device.type == "cpu" and p.dtype in (torch.float32, torch.float64)
    with _COUNTING:
        chosen = [m for m in _modules(model) if _suits(m)] if suits else []
        for module in chosen:
            if module not in _USERS:
                vars(module)["forward"] = partial(_FORWARDS[type(module).__name__], module)
            _USERS[module] = _USERS.get(module, 0) + 1
    try:
        yield
    finally:
        with _COUNTING:
            for module in chosen:
                _USERS[module] -= 1
                if not _USERS[module]:
                    del _USERS[module], vars(module)["forward"]
