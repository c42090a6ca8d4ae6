"""Learned prompts that attention also looks at, mixed in through a gate: what LLaMA-Adapter adds to a block.

The attention function that a model uses is wrapped: what an attention module's queries find in its `learned_prompt`
(if it has one) is added to what they find in the text. So packed rows, shared prefixes and decoding need no care, and
keys and values of the text stay what they were.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from luthier.core.phrases import say
from luthier.models.layers.sites import ROLES, Role, lacking, sites

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM

NAME = "learned_prompt"  # of the prompt in an attention module
OVER = "luthier_prompted_over_"  # the wrapped function's name follows


class LearnedPrompt(nn.Module):
    """A prompt (n, d), drawn from N(0, 1) as normed states are, and its gate, a number that starts at zero."""

    def __init__(self, n: int, size: int, device: torch.device) -> None:
        super().__init__()
        self.prompt = nn.Parameter(torch.empty(n, size, dtype=torch.float32, device=device).normal_())
        self.gate = nn.Parameter(torch.zeros(1, dtype=torch.float32, device=device))

    def forward(self, attention: nn.Module, query: Tensor, scale: float | None) -> Tensor:
        """What queries (B, heads, T, head_dim) find in the prompt, times the gate: (B, T, heads, head_dim).

        Keys and values are made as the attention module makes its own, but have no position.
        """
        batch, heads, _, size = query.shape
        key, value = keys_values(attention, self.prompt.to(query.dtype), heads * size)
        key, value = (t.view(1, len(self.prompt), -1, size).transpose(1, 2) for t in (key, value))
        if (norm := getattr(attention, "k_norm", None)) is not None:  # Qwen3's, of each head
            key = norm(key)
        key, value = (t.expand(batch, -1, -1, -1) for t in (key, value))
        found = F.scaled_dot_product_attention(query, key, value, scale=scale, enable_gqa=heads != key.shape[1])
        return found.transpose(1, 2) * self.gate.to(query.dtype)


def keys_values(attention: nn.Module, states: Tensor, query: int) -> tuple[Tensor, Tensor]:
    """Keys and values (n, kv) of states (n, d) by the module's own projections; query: outputs that a query takes."""
    own = _projections(attention)
    if "fused" in own:
        key, value = own["fused"](states)[:, query:].chunk(2, -1)
        return key, value
    return own["key"](states), own["value"](states)


def _projections(attention: nn.Module) -> dict[Role, nn.Module]:
    """The module's own projections that make keys and values, by their role; none when it has not both."""
    roles: tuple[Role, ...] = ("key", "value", "fused")
    own = {role: m for n, m in attention.named_children() for role in roles if ROLES[role].fullmatch(f"attn.{n}")}
    return own if own.keys() in ({"fused"}, {"key", "value"}) else {}


def attentions(lm: TrainableLM, count: Callable[[int], int]) -> list[nn.Module]:
    """The self-attention modules of the top blocks of each stack: `count` of how many there are."""
    found = [lm.model.get_submodule(path) for path in sites(lm, "attention")]
    upper = {id(m) for stack in lm.stacks for block in stack[len(stack) - count(len(stack)) :] for m in block.modules()}
    return [m for m in found if id(m) in upper and _projections(m)]


def unsuited(model: nn.Module) -> str | None:
    """A fact about the model when its attention cannot be given learned prompts, else None."""
    if reason := lacking(model, "attention"):
        return reason
    kind = type(model).__name__
    found = [m for m in model.modules() if _projections(m)]
    if not found:
        return say("said_refused_projections", kind=kind)
    if not all(hasattr(sys.modules[type(m).__module__], "ALL_ATTENTION_FUNCTIONS") for m in found):
        return say("said_refused_interface", kind=kind)
    used = inner_name(model)
    return None if used in ALL_ATTENTION_FUNCTIONS else say("said_refused_own_attention", name=used)


def inner_name(model: Any) -> str:
    """Which attention function the model uses, below what `wrap_attention` put around it."""
    return str(model.config._attn_implementation).removeprefix(OVER)


def wrap_attention(model: Any) -> None:
    """Make attention modules of the model look at their learned prompts; `unwrap_attention` undoes it."""
    inner = inner_name(model)

    def attend(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any
    ) -> tuple[Tensor, Tensor | None]:
        out, weights = ALL_ATTENTION_FUNCTIONS[inner](module, query, key, value, mask, **options)
        learned = getattr(module, NAME, None)
        return (out if learned is None else out + learned(module, query, options.get("scaling"))), weights

    AttentionInterface.register(OVER + inner, attend)
    if inner in ALL_MASK_ATTENTION_FUNCTIONS:
        AttentionMaskInterface.register(OVER + inner, ALL_MASK_ATTENTION_FUNCTIONS[inner])
    model.set_attn_implementation(OVER + inner)


def unwrap_attention(model: Any) -> None:
    """The attention function that stood there before `wrap_attention`."""
    model.set_attn_implementation(inner_name(model))
