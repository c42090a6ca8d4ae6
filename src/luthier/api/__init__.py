"""Luthier from Python: the same things the commands do, with data that may be in memory and answers that are objects.

    luthier.compare(frame, budget="3m").best
    luthier.load(RUN).predict("a text")
    luthier.open("runs/demo").to_frame()
    luthier.train({"method": "lora", "data": {"path": "mine.jsonl"}})

What is raised names arguments as Python spells them. The commands use `training.train` and `model.load`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.api import model as models
from luthier.api import training
from luthier.api.board import Board, Row, open
from luthier.api.comparing import compare
from luthier.api.model import Model
from luthier.api.spelling import spoken
from luthier.api.texts import place_of

if TYPE_CHECKING:
    from luthier.core.progress import Report
    from luthier.io.config import Recipe

__all__ = ["Board", "Model", "Row", "compare", "load", "open", "train"]


def train(
    recipe: Recipe | Mapping[str, Any] | str | Path, out: str | Path | None = None,
    say: Callable[[Report], None] | None = None, again: bool = False, tell: Callable[[str], None] | None = None, *,
    data: Any = None, test: Any = None,
) -> Path:  # fmt: skip
    """One run of a recipe, resumed if it was interrupted; gives the run folder.

    >>> luthier.train("recipe.yaml")                                                           # doctest: +SKIP
    >>> luthier.train({"method": "lora", "training": {"tokens": 50_000}}, data=frame)          # doctest: +SKIP

    recipe: a `luthier.io.config.Recipe`, nested settings, or the path of a YAML file. data, test: rows in place of the
    recipe's own; like `data.path` and `data.test` of nested settings a path, a pandas DataFrame, a list of dicts or a
    `datasets.Dataset`. say: told how far it is. tell: told at its start what is to be known about the data. again:
    begin anew, what stands there is set aside.

    Raises LuthierError, also where data or model are not those that the run began with.
    """
    from luthier.api.recipes import prepared

    ready, kept = prepared(recipe, data, test)
    with spoken(kept):
        return training.train(ready, None if out is None else place_of(out, "out"), say, again, tell)


def load(
    run_folder: str | Path, progress: Callable[[int, int], None] | None = None, template: str | Path | None = None
) -> Model:
    """The adapted model of a run folder, ready to predict or generate; progress is told rows done and rows in all.

    template: a file with another wording than the run's own. Raises LuthierError.

    >>> luthier.load("runs/demo/trials/lora/seed-0").predict("where is my parcel?")      # doctest: +SKIP
    'delivery'
    """
    folder = place_of(run_folder, "run_folder")
    with spoken():
        return models.load(folder, progress, None if template is None else place_of(template, "template"))
