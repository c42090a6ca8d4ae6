"""Where things are inside a block: the projections of attention and feed-forward by their role, for every architecture.

A role is a pattern on a module's path inside its block; the table is all that a new architecture needs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from luthier.core.phrases import say
from luthier.models.layers.surgery import path_of

if TYPE_CHECKING:
    from torch import nn

    from luthier.models.base import TrainableLM

Role = Literal["query", "key", "value", "fused", "attention_out", "ffn_in", "ffn_out", "attention"]

_PATTERNS: Mapping[Role, str] = {
    "query": r"(.*\.)?(q_proj|query|q)",
    "key": r"(.*\.)?(k_proj|key|k)",
    "value": r"(.*\.)?(v_proj|value|v)",
    # query, key and value in one matrix, one after the other; interleaved ones (NeoX, Bloom, Falcon) are not known
    "fused": r"attn\.(c_attn|Wqkv)",
    "attention_out": (
        r"self_attn\.(o_proj|out_proj|dense)|attn\.(c_proj|Wo)|attention\.(output\.)?dense"
        r"|layer\.\d+\.(SelfAttention|EncDecAttention)\.o"
    ),
    "ffn_in": (
        r"mlp\.(gate_proj|c_fc|fc1|Wi|gate_up_proj|dense_h_to_4h)|fc1|intermediate\.dense"
        r"|layer\.\d+\.DenseReluDense\.wi(_0)?"
    ),
    "ffn_out": (r"mlp\.(down_proj|c_proj|fc2|Wo|dense_4h_to_h)|fc2|output\.dense|layer\.\d+\.DenseReluDense\.wo"),
    "attention": r"self_attn|attn|attention(\.self)?|layer\.\d+\.SelfAttention",
}
ROLES: Mapping[Role, re.Pattern[str]] = {role: re.compile(pattern) for role, pattern in _PATTERNS.items()}


def sites(lm: TrainableLM, *roles: Role) -> dict[str, Role]:
    """Dotted paths in the model of the blocks' modules that have one of these roles, in the model's order."""
    found: dict[str, Role] = {}
    for stack in lm.stacks:
        prefix = path_of(lm.model, stack)
        for index, block in enumerate(stack):
            for name, _ in block.named_modules():
                for role in roles:
                    if ROLES[role].fullmatch(name):
                        found[f"{prefix}.{index}.{name}"] = role
    return found


def lacking(model: nn.Module, *roles: Role) -> str | None:
    """A fact about the model when none of its modules has one of these roles, else None."""
    names = [re.sub(r"^.*?\.\d+\.", "", name) for name, _ in model.named_modules() if re.search(r"\.\d+\.", name)]
    for role in roles:
        if not any(ROLES[role].fullmatch(name) for name in names):
            return say("said_refused_module", role=role.replace("_", " "), kind=type(model).__name__)
    return None
