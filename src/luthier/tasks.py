"""What tasks want, in words."""

from __future__ import annotations

from collections.abc import Sequence

from luthier.records import Task

GIVES: dict[Task, str] = {
    "classification": "labels",
    "multilabel": "several labels a text",
    "regression": "numbers",
    "generation": "text",
    "text": "likelihoods of text",
}


def unfit(name: str, tasks: Sequence[Task], task: Task) -> str:
    """Why a method or an objective for some tasks does not suit another, in a sentence."""
    return f"{name} gives {' or '.join(GIVES[t] for t in tasks)}, and this task wants {GIVES[task]}"
