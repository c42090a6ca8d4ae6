"""Where a run starts from another: `start: RUN` in a recipe.

Its adapter is trained on where the new run has the same method with the same options and needs no reference; else it is
folded into the base, and the new method stands on that: then a reference is what the first run had learned. A folded
start is part of the base: the run needs its folder whenever it is loaded, and names it.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from luthier.core import catalog
from luthier.core.errors import LuthierError, Refused
from luthier.core.lm import WordedLM
from luthier.core.methods import Direct, Patch
from luthier.core.phrases import say
from luthier.io import config
from luthier.io.kept import files_of
from luthier.models.loading.hashes import hashes
from luthier.models.loading.of_recipe import load_base, trainable
from luthier.runs.adapters import load_patch, read_all
from luthier.training.attach import forget, remove_heads

if TYPE_CHECKING:
    from luthier.io.config import Recipe
    from luthier.models.base import TrainableLM


L = TypeVar("L", bound=WordedLM)


def base_of(recipe: Recipe) -> WordedLM:
    """What the recipe's method is put on, loaded for this run alone. Raises LuthierError."""
    return started(load_base(recipe), recipe)


def goes_on(recipe: Recipe) -> bool:
    """Whether the start's own adapter is trained on."""
    if not recipe.start:
        return False
    before, name = _read(recipe), recipe.objective.get("name")  # what a task has without a name needs nothing
    needs = catalog.load(catalog.find(str(name), "objectives")).needs if name else ()
    same = (before.method, before.patch) == (recipe.method, recipe.patch)
    return same and config.options(recipe).save_as == "adapter" and "reference" not in needs


def started(lm: L, recipe: Recipe, own: bool = True) -> L | TrainableLM:
    """The base that the recipe's method is put on: with the start folded in, where it is not trained on.

    own: nobody else uses the base, so that it is changed in place; else a copy is. Raises LuthierError where the start
    stands on another base, or cannot be folded.
    """
    if not recipe.start:
        return lm
    before = _read(recipe)
    if before.model != recipe.model:
        raise LuthierError(f"start: {recipe.start} stands on {before.model}, not on {recipe.model}")
    if goes_on(recipe):
        return started(lm, before, own)
    base = trainable(lm)
    work = base if own else replace(base, model=copy.deepcopy(base.model))
    files = _files(recipe)
    under: TrainableLM = replace(started(work, before), trunks={})
    patch: Patch = config.options(before)
    loaded = load_patch(under, patch, files, read_all(files))
    if not patch.merge(loaded):
        patch.detach(loaded)
        raise Refused(say("said_refused_fold", name=before.method, run=recipe.start))
    forget(loaded)
    remove_heads(loaded)
    loaded.model.requires_grad_(False)
    return replace(under, key=f"{under.key}-{_key(files)}")


def go_on(lm: TrainableLM, patch: Patch, recipe: Recipe) -> None:
    """Give an attached patch, with the heads beside it, what the start has learned. Raises LuthierError."""
    tensors = read_all(_files(recipe))
    before = dict(lm.model.named_parameters())
    head = {n.removeprefix("label_head."): t for n, t in tensors.items() if n.startswith("label_head.")}
    if bool(head) != (lm.label_head is not None):
        raise Refused(say("said_refused_start_head", run=recipe.start))
    if lm.label_head is not None:
        try:
            lm.label_head.load_state_dict(head)
        except RuntimeError:
            raise Refused(say("said_refused_start_head", run=recipe.start)) from None
    patch.load(lm, {n: t for n, t in tensors.items() if not n.startswith("label_head.")})
    after = dict(lm.model.named_parameters())
    if any(after.get(n) is not p for n, p in before.items() if p.requires_grad):
        # what training needed was folded away when the start was finished, such as a prompt's encoder
        raise Refused(say("said_refused_go_on", name=recipe.method, run=recipe.start))


def _read(recipe: Recipe) -> Recipe:
    if isinstance(config.options(recipe), Direct):
        raise LuthierError(f"start: {recipe.method} trains no weights, so it cannot go on from {recipe.start}")
    before = config.run_recipe(Path(recipe.start))
    if isinstance(config.options(before), Direct):
        raise LuthierError(
            f"start: {recipe.start} holds {before.method}, which changes no weights: nothing to go on from"
        )
    return before


def _files(recipe: Recipe) -> Path:
    found: Any = files_of(Path(recipe.start))
    return found if found is not None else Path(recipe.start)


def _key(files: Path) -> str:
    return "".join(hashes(sorted(files.glob("*.safetensors"))))[:16]
