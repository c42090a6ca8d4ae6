"""Decoder-only: Llama's blocks (rotary positions, RMS norms, SwiGLU), the embedding tied to the vocabulary head.

Source: Touvron et al. 2023; sizes by depth after nanochat (Karpathy 2025).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import LlamaConfig

from luthier.models.shapes import HEAD, WIDTH, inner

OBJECTIVE = "lm"
RATE = 6e-3


def config(depth: int, vocabulary: int, context: int, ids: Mapping[str, Any], blocks: int | None = None) -> LlamaConfig:
    """Of a model of so many blocks. blocks: in place of depth, at its width."""
    width = WIDTH * depth
    return LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=inner(width),
        num_hidden_layers=blocks or depth, num_attention_heads=width // HEAD, num_key_value_heads=width // HEAD,
        max_position_embeddings=context, tie_word_embeddings=True, initializer_range=0.02, **ids,
    )  # fmt: skip
