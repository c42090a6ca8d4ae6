"""Decoder-only, its prompt seen in both directions: the decoder's blocks, trained on second parts of texts.

Source: Liu et al. 2018; "non-causal decoder" in Wang et al. 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import LlamaConfig

from luthier.models.shapes import decoder

OBJECTIVE = "prefix_lm"
RATE = 6e-3


def config(depth: int, vocabulary: int, context: int, ids: Mapping[str, Any], blocks: int | None = None) -> LlamaConfig:
    """As the decoder's; `prefix_lm` tells this program how it was trained, and nothing to others."""
    found = decoder.config(depth, vocabulary, context, ids, blocks)
    found.prefix_lm = True
    return found
