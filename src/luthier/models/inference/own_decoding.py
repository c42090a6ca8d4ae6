"""What transformers' own decoding is told: a sampling of ours, and nothing of a model's habits besides."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from luthier.core.records import Sampling


def settings(model: Any, sampling: Sampling, room: int, stops: Collection[int], fill: int) -> Any:
    """A generation configuration: at most `room` new tokens, ended by any of `stops` (none: by the length alone).

    A model's own configuration may repeat less, forbid n-grams or sample by default: each is set to what does nothing.
    """
    from transformers import GenerationConfig

    warm = sampling.temperature > 0
    return GenerationConfig(
        max_new_tokens=room, min_length=0, num_beams=1, do_sample=warm,
        temperature=sampling.temperature if warm else 1.0, top_p=sampling.top_p if warm else 1.0,
        top_k=0 if warm else 50,
        repetition_penalty=1.0, no_repeat_ngram_size=0, eos_token_id=sorted(stops) or None, pad_token_id=fill,
        bos_token_id=getattr(model.generation_config, "bos_token_id", None), use_cache=True,
    )  # fmt: skip
