"""A recipe of stages: what each learns and from where it goes on.

    model: embedded
    data: {path: desk}
    stages:
      sft: {method: lora, objective: {name: sft, answers: all}, training: {tokens: 60000}}
      reward: {method: lora, objective: {name: reward}, training: {tokens: 40000}}
      ppo: {method: lora, objective: {name: ppo}, training: {tokens: 200000}}
    judge: {method: lora, objective: {name: reward}, training: {tokens: 40000}}

A stage is a recipe without model and data. One that learns numbers is the reward of those behind it that need one
(`reward:` names another); each other begins where the last one ended. judge: a stage as well, which learns from pairs
that no reward has seen, or the name of what judges (a run, a pattern, a function, a server).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt

from luthier.core import catalog
from luthier.core.errors import LuthierError
from luthier.io.config import DataConfig, Recipe, Threads, build, read_values, recipe_from
from luthier.runs.judges import check_named

NAME = "judge"  # the stage of the judge, where it is one
BASE = "untuned"  # what stands in place of a stage before the first
FOREIGN = ("model", "data", "start", "seed", "dtype", "threads")  # keys that belong to the whole


@dataclass(frozen=True)
class Pipeline:
    """stages: by name, in their order. reward: of stages that need one, where none makes it.

    answers: to each held-out prompt; prompts: at most so many of them. new_tokens, temperature: of these answers.
    """

    model: str = "embedded"
    data: DataConfig = field(default_factory=DataConfig)
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    judge: str | dict[str, Any] = ""
    reward: str = ""
    answers: Annotated[int, Ge(1)] = 4
    prompts: Annotated[int, Ge(2)] = 60
    new_tokens: Annotated[int, Ge(1)] = 48
    temperature: Annotated[float, Gt(0)] = 0.7
    seed: Annotated[int, Ge(0)] = 0
    dtype: str = "auto"
    threads: Threads | None = None

    @property
    def recipes(self) -> dict[str, Recipe]:
        """The recipe of each stage, the judge's last, without data, start and reward. Raises LuthierError."""
        given = {**self.stages, **({NAME: self.judge} if isinstance(self.judge, Mapping) else {})}
        return {name: self._recipe(name, values) for name, values in given.items()}

    def _recipe(self, name: str, values: Mapping[str, Any]) -> Recipe:
        where = NAME if name == NAME else f"stages.{name}"
        if not isinstance(values, Mapping):
            raise LuthierError(f"{where}: a table, such as `{{method: lora, objective: {{name: sft}}}}`")
        for key in FOREIGN:
            if key in values:
                raise LuthierError(f"{where}.{key}: belongs to the whole, beside `stages`")
        try:
            found = recipe_from({**values, "model": self.model})
            if "name" not in found.objective:
                raise LuthierError("objective.name: says what the stage learns, such as sft, reward or ppo")
            catalog.find(str(found.objective["name"]), "objectives")
        except LuthierError as error:
            raise LuthierError(f"{where}: {error}") from None
        return replace(found, seed=self.seed, dtype=self.dtype, threads=self.threads)


def gives_numbers(recipe: Recipe) -> bool:
    """Whether what a stage learns is a reward."""
    return str(recipe.objective["name"]) == "reward"


def needs_reward(recipe: Recipe) -> bool:
    """Whether a stage learns from a reward."""
    return "reward" in catalog.load(catalog.find(str(recipe.objective["name"]), "objectives")).needs


def read_pipeline(path: Path, assignments: Sequence[str] = ()) -> Pipeline:
    """A pipeline from its file, `a.b=c` on top. Raises LuthierError naming file and key."""
    values = read_values(path, assignments)
    try:
        values["data"] = build(DataConfig, values.get("data") or {}, "data")
        found = build(Pipeline, values, "")
        _check(found)
    except LuthierError as error:
        raise LuthierError(f"{path}: {error}") from None
    return found


def _check(pipeline: Pipeline) -> None:
    """Say what cannot work before anything is loaded."""
    if not pipeline.stages:
        raise LuthierError("stages: at least one, such as `sft: {method: lora, objective: {name: sft}}`")
    if {NAME, BASE} & set(pipeline.stages) or any(not name.isidentifier() for name in pipeline.stages):
        raise LuthierError(f"stages: names of letters and digits, and neither {NAME} nor {BASE}")
    reward = pipeline.reward
    recipes = pipeline.recipes
    for name, recipe in recipes.items():
        if name == NAME and not gives_numbers(recipe):
            raise LuthierError("judge: learns numbers: `objective: {name: reward}`")
        if recipe.reward and not needs_reward(recipe):
            raise LuthierError(f"stages.{name}.reward: {recipe.objective['name']} has no use for a reward")
        if needs_reward(recipe) and not (reward or recipe.reward):
            raise LuthierError(f"stages.{name}: needs a reward: a stage before it that learns one, or `reward:`")
        reward = "a stage" if gives_numbers(recipe) else reward
    if not pipeline.judge:
        raise LuthierError("judge: who says what a stage has gained: a stage, a run, a pattern, a function or a server")
    check_named(pipeline.judge if isinstance(pipeline.judge, str) else "", pipeline.reward)
    if isinstance(pipeline.judge, str) and pipeline.judge.startswith("ask:"):
        raise LuthierError("judge: gives numbers, so that a gain has a size; ask: only says which of two is better")


def plain(pipeline: Pipeline) -> dict[str, Any]:
    """As plain values."""
    return dataclasses.asdict(pipeline)
