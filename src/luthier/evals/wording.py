"""Choosing among wordings by validation: shared by the methods that only word the question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from luthier.evals.task import evaluate
from luthier.files import read_record
from luthier.protocols import Split

if TYPE_CHECKING:
    from luthier.models.base import BaseLM


def best_wording(choices: Sequence[BaseLM], data: Split, rows: int) -> BaseLM:
    """The choice with the best score on at most `rows` validation rows; the first of equals."""
    judged = data.validation[:rows]
    if len(choices) == 1 or not judged:
        return choices[0]
    return max(choices, key=lambda lm: evaluate(lm, data, judged).score)


def load_wording(folder: Path, lm: BaseLM) -> BaseLM:
    """What `BaseLM.save` wrote for a method that only words the question."""
    return lm.restore(read_record(folder / "luthier.json", "template", "shots", "labels"))


def unworded(lm: BaseLM) -> str | None:
    """The reason against a wording that a method would not use."""
    return "it puts its input into no wording: leave out --template" if lm.only else None
