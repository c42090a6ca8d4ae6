"""The base model that a recipe names."""

from __future__ import annotations

from typing import Any, cast

from luthier.io.config import Recipe
from luthier.models.base import BaseLM
from luthier.models.loading.fingerprint import fingerprint


def load_base(recipe: Recipe) -> BaseLM:
    """The base model of a recipe, on the device and in the number format that suit this machine."""
    from luthier.models.endpoint import remote
    from luthier.models.loading import kinds, load
    from luthier.models.machine import device, pick_dtype, threads

    threads(recipe.threads)
    if remote.is_endpoint(recipe.model):
        # It answers the questions that direct methods ask; what needs its weights is refused before it asks.
        return cast(BaseLM, remote.load(recipe.model, recipe.endpoint))
    loaded: Any
    loaded, tokenizer = load.load_base(recipe.model, dtype=pick_dtype(recipe.dtype))
    return kinds.wrap(loaded.to(device()), tokenizer, recipe.model, f"{fingerprint(recipe.model)}-{loaded.dtype}")
