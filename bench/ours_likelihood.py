"""Classification by the likelihood of label words, by Luthier: our side of bench/likelihood_vs_lm_eval.py.

ours_likelihood.py prepare WORK     # WORK/prompts.json: every task's worded prompts, for the peer
ours_likelihood.py TASK WORK        # one measured pass over the task's rows
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import measure
from luthier.core.records import Labelled
from luthier.data.prompts import CLASSIFY, compose
from luthier.io.config import Recipe
from luthier.io.files import write_json
from luthier.models.loading.of_recipe import load_base

WARM = 4  # rows answered before the clock starts


def prepare(work: Path, job: dict[str, Any]) -> None:
    """The prompts as both sides read them: the first wording for labels."""
    out = {}
    for name, task in job["tasks"].items():
        out[name] = [compose(CLASSIFY[0], text, task["labels"], shots(task)) for text in task["texts"]]
    write_json(work / "prompts.json", out)
    measure.give(prompts={name: len(prompts) for name, prompts in out.items()})


def shots(task: dict[str, Any]) -> list[Labelled]:
    """The worked examples that stand before every prompt, if there are any."""
    return [Labelled(text, label) for text, label in task.get("shots", ())]


def predict(work: Path, job: dict[str, Any], name: str) -> None:
    """Every row's label, and how long it took from texts to labels."""
    task = job["tasks"][name]
    base = load_base(Recipe(dtype="float32", threads=job["threads"]))
    lm = base.worded(CLASSIFY[0], task["labels"], shots(task))
    lm.predict(task["texts"][:WARM], task["labels"])
    found, watch, figures = measure.measured(lambda: lm.predict(task["texts"], task["labels"]))
    measure.give(
        rows=len(task["texts"]),
        rows_per_second=len(task["texts"]) / watch.seconds,
        chosen=found.argmax(-1).tolist(),
        margins=[float(a - b) for a, b in found.topk(2).values],
        **figures,
        versions=measure.versions("luthier", "torch", "transformers"),
    )


if __name__ == "__main__":
    if given := measure.asked(prepare):
        what, folder, job = given
        predict(folder, job, what)
