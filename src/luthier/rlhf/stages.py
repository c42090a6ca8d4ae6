"""The stages of a pipeline, each a run in a folder of its own, one after the other.

    DIR/pipeline.json     what was asked for          DIR/data/      the rows of each stage
    DIR/stages/NAME/      a run folder                DIR/answers/   what each stage writes on held-out prompts
    DIR/report.json       what came of it; last

Killed, the same command goes on where it was: a finished stage is not run again, a broken one goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.api.training import train
from luthier.core.errors import LuthierError
from luthier.data import embedded
from luthier.data.load import load_split
from luthier.data.used import said
from luthier.io.config import DataConfig, Recipe
from luthier.io.files import LOCK, alone, is_taken, read_json, write_json, write_text
from luthier.rlhf.parts import JUDGE, LEARN, REWARD, TEST, write_parts
from luthier.rlhf.pipeline import NAME, Pipeline, gives_numbers, needs_reward, plain

if TYPE_CHECKING:
    from luthier.core.progress import Report

Bar = Callable[[str], AbstractContextManager[Callable[["Report"], None]]]
ASKED, REPORT = "pipeline.json", "report.json"
WRITTEN = 16  # test rows of a policy's own eval.json: the report tells what it writes on all prompts


@dataclass(frozen=True)
class Stage:
    """A finished or coming run. start: of the stage it goes on from; reward: what it learns from, where need be."""

    name: str
    recipe: Recipe
    folder: Path
    start: Path | None
    reward: str | dict[str, float]

    @property
    def writes(self) -> bool:
        """Whether it is a policy: else it gives numbers."""
        return not gives_numbers(self.recipe)


def stages_of(pipeline: Pipeline, folder: Path) -> list[Stage]:
    """All stages with where they begin and what they learn from, the judge's last."""
    out: list[Stage] = []
    start, reward = None, pipeline.reward
    for name, recipe in pipeline.recipes.items():
        place = folder / "stages" / name
        numbers = gives_numbers(recipe)
        part = JUDGE if name == NAME else REWARD if numbers else LEARN
        data = _data(pipeline.data, folder / "data", part)
        if not numbers:
            data = replace(data, limit_test=WRITTEN)
        own = (recipe.reward or reward) if needs_reward(recipe) else ""
        made = replace(recipe, data=data, reward=own, start="" if numbers or start is None else str(start))
        out.append(Stage(name, made, place, None if numbers else start, own))
        if name != NAME:
            start, reward = (start, str(place)) if numbers else (place, reward)
    return out


def _data(given: DataConfig, folder: Path, part: str) -> DataConfig:
    """A stage's rows; what was read and mapped once is not again, the rest is the pipeline's."""
    found = embedded.find(given.path)
    return DataConfig(
        path=str(folder / part), test=str(folder / TEST), metric=given.metric or (found.metric if found else ""),
        anyway=given.anyway, answer_tokens=given.answer_tokens, split_seed=given.split_seed,
    )  # fmt: skip


def _learns_numbers(pipeline: Pipeline) -> bool:
    return any(gives_numbers(recipe) for recipe in pipeline.recipes.values())


def run(pipeline: Pipeline, folder: Path, bar: Bar, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run what is left and give the report. Raises LuthierError where the folder holds another pipeline."""
    from luthier.rlhf.measure import measure

    wanted = json.loads(json.dumps(plain(pipeline)))
    if is_taken(folder, ASKED, "pipeline") and read_json(folder / ASKED) != wanted:
        raise LuthierError(f"{folder} holds another pipeline: give its own recipe, or another --out")
    with alone(folder / LOCK, f"{folder}: another command is at work there"):
        if (folder / REPORT).exists():
            return dict(read_json(folder / REPORT))
        if not (folder / "data" / TEST).exists():
            split, notes = load_split(pipeline.data, folder / "rejected.jsonl")
            for note in [*([said(split.used)[0]] if split.used else []), *notes]:
                tell(note)
            write_parts(folder / "data", split, isinstance(pipeline.judge, dict), _learns_numbers(pipeline))
        write_json(folder / ASKED, wanted)
        stages = stages_of(pipeline, folder)
        for stage in stages:
            with bar(stage.name) as say:
                train(stage.recipe, stage.folder, say)
        found = measure(pipeline, stages, folder, bar)
        write_report(folder, found)
    return found


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """What `run` gives, as a file."""
    write_text(folder / REPORT, json.dumps(report, ensure_ascii=False, indent=1))
