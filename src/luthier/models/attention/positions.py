"""What a configuration says of positions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

STRETCHED = ("dynamic", "longrope")  # rotary positions whose frequencies depend on the longest text of a batch


def stretched_from(config: Any) -> int | None:
    """The length, in tokens, from which rotary positions change with the longest text beside them; None for never.

    Dynamic scaling (Phi-3's long RoPE, Ding et al. 2024, "LongRoPE"; dynamic NTK) takes its frequencies from the
    longest position of a forward pass, so that a short text beside a long one gets other numbers than alone.
    """
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    found = [
        int(own.get("original_max_position_embeddings") or getattr(config, "original_max_position_embeddings", 0) or 0)
        for own in _ropes(getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None))
        if own.get("rope_type", own.get("type")) in STRETCHED
    ]
    return min((n for n in found if n), default=None)


def _ropes(parameters: Any) -> Iterator[Mapping[str, Any]]:
    """The settings of every kind of layer."""
    if not isinstance(parameters, Mapping):
        return
    nested = [own for own in parameters.values() if isinstance(own, Mapping)]
    yield from nested or [parameters]
