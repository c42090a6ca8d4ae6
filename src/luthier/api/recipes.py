"""A recipe as Python gives it: made already, as nested settings, or a file's path; its rows may be in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from luthier.api.spelling import spoken
from luthier.api.tables import as_path, is_kept
from luthier.api.texts import kind
from luthier.core.errors import LuthierError
from luthier.io.config import Recipe, read_recipe, recipe_from


def prepared(recipe: Any, data: Any, test: Any) -> tuple[Recipe, dict[str, str]]:
    """The checked recipe, and the files that hold rows which were in memory, by the argument they came from."""
    if isinstance(recipe, str | Path):
        with spoken():
            recipe = read_recipe(Path(recipe))
    if isinstance(recipe, Mapping):
        recipe = recipe_from({**recipe, "data": _section(recipe.get("data"))})
    if not isinstance(recipe, Recipe):
        raise LuthierError(f"recipe: must be a Recipe, nested settings or a path, not {kind(recipe)}")
    path = as_path(recipe.data.path if data is None else data, "data")
    held_out = recipe.data.test if test is None else test
    held_out = None if held_out is None else as_path(held_out, "test")
    kept = {p: name for p, name in ((path, "data"), (held_out, "test")) if p and is_kept(p)}
    return replace(recipe, data=replace(recipe.data, path=path, test=held_out)), kept


def _section(given: Any) -> Any:
    """The data's settings, with rows written out; rows or a path alone stand for settings with that path."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        return {"path": as_path(given, "data")}
    rows = {
        key: as_path(given[key], key if key == "test" else "data")
        for key in ("path", "test")
        if given.get(key) is not None
    }
    return {**given, **rows}
