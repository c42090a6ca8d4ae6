"""Text generation for a whole list of prompts, by the engine that the model's users share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from luthier.core.records import Sampling
from luthier.models.ends import Ends
from luthier.models.inference.engine import engine_of

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM


def generate(
    lm: CausalLM, prompts: Sequence[list[int]], sampling: Sampling, ends: Ends | None = None
) -> list[list[int]]:
    """Tokens of one answer a prompt, without the token that ends it; ends: the model's own unless given."""
    ends = lm.ends if ends is None else ends
    stops = frozenset(ends.tokens)
    answers = engine_of(lm).generate(prompts, sampling, ends=ends, progress=lm.progress)
    return [[token.id for token in answer if token.id not in stops] for answer in answers]


@lru_cache(4)
def line_tokens(tokenizer: Any) -> set[int]:
    """Tokens with a line break after some text would be lost, so only those that are blank but for the break."""
    texts = tokenizer.batch_decode([[i] for i in range(len(tokenizer))])
    return {i for i, t in enumerate(texts) if "\n" in t and not t.strip()}
