"""The base model that a recipe names."""

from __future__ import annotations

from typing import Any

from luthier.core.errors import Refused
from luthier.core.lm import WordedLM
from luthier.core.phrases import say
from luthier.io.config import Recipe, attention_of
from luthier.models.base import TrainableLM
from luthier.models.loading.fingerprint import fingerprint


def load_base(recipe: Recipe) -> WordedLM:
    """The base model of a recipe, on the device and in the number format that suit this machine."""
    from luthier.models.endpoint import remote
    from luthier.models.loading import kinds, load
    from luthier.models.machine import device, pick_dtype, threads

    threads(recipe.threads)
    if remote.is_endpoint(recipe.model):
        return remote.load(recipe.model, recipe.endpoint)
    loaded: Any
    loaded, tokenizer = load.load_base(recipe.model, dtype=pick_dtype(recipe.dtype))
    key = f"{fingerprint(recipe.model)}-{loaded.dtype}"
    return attending(kinds.wrap(loaded.to(device()), tokenizer, recipe.model, key), recipe)


def attending(lm: WordedLM, recipe: Recipe) -> WordedLM:
    """The model with the recipe's attention, or the one that its own folder names. Raises Refused, LuthierError."""
    from luthier.models.attention.narrowed import narrowed

    return narrowed(lm, attention_of(recipe))


def trainable(lm: WordedLM) -> TrainableLM:
    """The model, whose weights are here. Raises Refused for one that only answers."""
    if not isinstance(lm, TrainableLM):
        raise Refused(say("said_refused_remote"))
    return lm
