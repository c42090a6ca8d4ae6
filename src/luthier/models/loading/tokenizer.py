"""A base model without its weights: enough to see how rows are tokenised, quick to load and small."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM


def tokenizer_only(model: str) -> CausalLM:
    """A base model that can encode and nothing else. Raises LuthierError as `load.load_base` does."""
    from transformers import AutoConfig, AutoTokenizer

    from luthier.models.causal import CausalLM
    from luthier.models.loading import load
    from luthier.models.loading.explained import explained
    from luthier.models.loading.quiet import quiet

    place = load.resolve(model)
    with explained(str(place)), quiet():
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
        config = AutoConfig.from_pretrained(place, trust_remote_code=False)
    stand_in = SimpleNamespace(config=config.get_text_config())
    return CausalLM(cast(Any, stand_in), tokenizer, model)
