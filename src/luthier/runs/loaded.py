"""From a run folder to the adapted model."""

from __future__ import annotations

from pathlib import Path

from luthier.core.lm import LM, WordedLM
from luthier.core.methods import Direct, Patch
from luthier.io import config
from luthier.io.kept import files_of
from luthier.models.base import Progress
from luthier.models.limit import within
from luthier.models.loading import bases
from luthier.models.loading.of_recipe import load_base, trainable
from luthier.runs.adapters import load_patch, read_all
from luthier.runs.start import started


def load_run(folder: Path, lm: WordedLM | None = None, progress: Progress | None = None) -> LM:
    """The adapted model of a run folder, on its base (loaded unless given). Stays attached to that base; where the run
    starts from another that was folded in, to a copy of the one that is given."""
    return load_method(folder, lm, progress)[0]


def load_method(
    folder: Path, lm: WordedLM | None = None, progress: Progress | None = None
) -> tuple[LM, Patch | Direct]:
    """What `load_run` gives, and the method that made it: a patch stands attached."""
    recipe = config.run_recipe(folder)
    target = files_of(folder) or folder
    given = lm is not None
    lm = started(lm or load_base(bases.located(recipe, target)), recipe, own=not given)
    lm.progress = progress
    method: Patch | Direct = config.options(recipe)
    if isinstance(method, Direct):
        return method.load(target, within(lm, recipe.objective.get("max_length"))), method
    return load_patch(trainable(lm), method, target, read_all(target)), method
