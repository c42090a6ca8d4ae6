"""From a run folder to the adapted model, and what judges answers by a number: a run, too, or anything of `rewards`.

The two are one module since they need each other: a run may choose among answers by another run's number.
"""

from __future__ import annotations

from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.core.lm import LM, WordedLM
from luthier.core.methods import Direct, Patch
from luthier.io import config
from luthier.io.config import EndpointConfig, Recipe
from luthier.io.kept import files_of, is_run
from luthier.models.base import Progress, TrainableLM
from luthier.models.limit import within
from luthier.models.loading import bases
from luthier.models.loading.of_recipe import attending, load_base, trainable
from luthier.runs.adapters import load_patch, read_all
from luthier.runs.rewards import Predicted, Weighted, named
from luthier.runs.start import started
from luthier.training.context import Context, Meter, Reward


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
    base = load_base(bases.located(recipe, target)) if lm is None else attending(lm, recipe)
    lm = started(base, recipe, own=lm is None)
    lm.progress = progress
    method: Patch | Direct = config.options(recipe)
    if isinstance(method, Direct):
        ctx = Context(within(lm, recipe.objective.get("max_length")))
        ctx.reward = reward_of(recipe, ctx.meter)
        return method.load(target, ctx), method
    return load_patch(trainable(lm), method, target, read_all(target)), method


def reward_of(recipe: Recipe, meter: Meter) -> Reward | None:
    """What judges answers; None where the recipe names nothing. Raises LuthierError.

    meter: counts what a model reads to judge.
    """
    if isinstance(recipe.reward, str):
        return judge(recipe.reward, meter, recipe.endpoint) if recipe.reward else None
    parts = [(judge(name, meter, recipe.endpoint), weight) for name, weight in recipe.reward.items()]
    return Weighted(tuple(parts)) if parts else None


def judge(name: str, meter: Meter, endpoint: EndpointConfig | None = None) -> Reward:
    """What gives answers a number: a run that does, or what `rewards` knows by that name. Raises LuthierError."""
    if not is_run(Path(name)):
        return named(name, endpoint)
    lm, method = load_method(Path(name))
    if lm.output not in ("scalar", "reward"):
        raise LuthierError(f"reward: the run {name} answers with {lm.output}, and a reward is a number")
    heads_only = isinstance(lm, TrainableLM) and isinstance(method, Patch) and method.cut(lm) == len(lm.blocks)
    return Predicted(lm, meter, lm.key if heads_only and isinstance(lm, TrainableLM) else "")
