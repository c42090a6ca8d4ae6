"""Encoder-decoder: T5's blocks (relative positions, RMS norms, gated GELU), the embedding tied to the vocabulary head.

Source: Raffel et al. 2020; gated as in its version 1.1 (Shazeer 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import T5Config

from luthier.models.shapes import HEAD, WIDTH, inner

OBJECTIVE = "denoise"
RATE = 6e-3
SENTINELS = 100


def config(depth: int, vocabulary: int, context: int, ids: Mapping[str, Any], blocks: int | None = None) -> T5Config:
    """Of a model of so many blocks in the encoder, and in the decoder. blocks: in place of depth, at its width.

    Answers begin with the padding token, as T5's do. Positions are relative: `max_position_embeddings` only says how
    long texts were in training.
    """
    width = WIDTH * depth
    more = {"max_position_embeddings": context, "decoder_start_token_id": ids["pad_token_id"], **ids}
    return T5Config(
        vocab_size=vocabulary, d_model=width, d_kv=HEAD, num_heads=width // HEAD, d_ff=inner(width),
        num_layers=blocks or depth, num_decoder_layers=blocks or depth, feed_forward_proj="gated-gelu",
        dropout_rate=0.0, **more,
    )  # fmt: skip
