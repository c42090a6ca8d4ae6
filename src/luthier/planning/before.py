"""The few words that training is told with before it begins; none where they cannot be had."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from luthier.core.errors import is_our_fault
from luthier.core.methods import Patch
from luthier.io import config
from luthier.models.base import TrainableLM
from luthier.planning.job import Job
from luthier.planning.plan import Plan, made
from luthier.planning.spoken import brief

if TYPE_CHECKING:
    from luthier.core.lm import LM
    from luthier.core.split import Split
    from luthier.io.config import Recipe

MEASURING = 0.3  # seconds


def planned(lm: LM, recipe: Recipe, split: Split, measuring: float = MEASURING) -> Plan | None:
    """The plan of a run on a model that is loaded; None where nothing is trained, or no plan can be made."""
    if not (isinstance(lm, TrainableLM) and isinstance(config.options(recipe), Patch)):
        return None
    recipe = replace(recipe, dtype=str(next(lm.model.parameters()).dtype).removeprefix("torch."))
    try:
        job = Job(recipe, copy.deepcopy(lm.model.config), lm.tokenizer, replace(split, test=()))
        return made(job, measuring=measuring)
    except Exception as error:  # training goes on without it, and says what is wrong with the rest
        if is_our_fault(error):
            raise
        return None


def told(lm: LM, recipe: Recipe, split: Split) -> list[str]:
    """The line before a run."""
    return [brief(plan)] if (plan := planned(lm, recipe, split)) else []
