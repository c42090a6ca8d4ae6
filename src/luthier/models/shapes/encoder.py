"""Encoder: BERT's blocks (learned positions, layer norms, GELU), with its head that tells masked tokens.

Source: Devlin et al. 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import BertConfig

from luthier.models.shapes import HEAD, WIDTH

OBJECTIVE = "mlm"
RATE = 3e-3
MASK = True


def config(depth: int, vocabulary: int, context: int, ids: Mapping[str, Any], blocks: int | None = None) -> BertConfig:
    """Of a model of so many blocks. blocks: in place of depth, at its width."""
    width = WIDTH * depth
    return BertConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=blocks or depth,
        num_attention_heads=width // HEAD, max_position_embeddings=context, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, architectures=["BertForMaskedLM"], **ids,
    )  # fmt: skip
