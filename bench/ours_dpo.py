"""LoRA DPO by Luthier, the way `luthier train` runs it: our side of bench/dpo_vs_trl.py.

    ours_dpo.py prepare WORK    # WORK/pairs.json: what the peer trains on; WORK/lora.safetensors: the start of both
    ours_dpo.py run WORK        # one measured training run

WORK/job.json holds the settings, WORK/rows.json the rows as they stand in the data file.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import measure
from luthier.core.cursor import Cursor
from luthier.core.example import Example, renumbered, units_of
from luthier.core.progress import Report
from luthier.core.split import Split
from luthier.data.task import read_table
from luthier.io.config import DataConfig, Recipe, options, recipe_from
from luthier.io.files import read_json, write_json, write_tensors
from luthier.models.base import TrainableLM
from luthier.models.loading.of_recipe import load_base, trainable
from luthier.runs import run
from luthier.training.attach import attached
from luthier.training.context import Context, Reader


def pairs(work: Path) -> Split:
    """The rows as a file of pairs is read."""
    path = str(work / "rows.json")
    return Split("preference", tuple(read_table(DataConfig(path=path), path).records), ())


def recipe_of(job: dict[str, Any]) -> Recipe:
    """One epoch of LoRA over the pairs; no warm-up, so that both sides move from the first step on."""
    training = {"tokens": 10**9, "epochs": 1.0, "batch": job["batch"], "learning_rate": job["lr"], "warmup": 0.0}
    return recipe_from(
        {
            "method": "lora",
            "patch": {"rank": job["rank"], "alpha": job["alpha"]},
            "objective": {"name": "dpo", "beta": job["beta"], "max_length": job["max_length"]},
            "training": training | {"clip": job["clip"]},
            "dtype": "float32",
            "threads": job["threads"],
            "seed": job["seed"],
        }
    )


def encoded(lm: TrainableLM, recipe: Recipe, data: Split) -> list[tuple[Example, Example]]:
    """The pairs in the order in which the loop takes them in its first epoch."""
    objective = run.objective_of(recipe, options(recipe), data, lm)
    examples = renumbered(objective.encode(lm, data, data.train))
    units = units_of(examples)
    return [(examples[a], examples[b]) for a, b in (units[i] for i in Cursor(recipe.seed).permutation(len(units)))]


def told(pair: tuple[Example, Example]) -> dict[str, list[int]]:
    """A pair as TRL's trainer holds it: the prompt's tokens and those of each answer."""
    found = []
    for e in pair:
        first, end = e.where[0] + 1, e.where[-1] + 2
        if e.where != tuple(range(first - 1, end - 1)):
            raise SystemExit(f"row {e.source}: an answer that is not in one piece")
        found.append((list(e.ids[:first]), list(e.ids[first:end])))
    (prompt, chosen), (same, rejected) = found
    if prompt != same:
        raise SystemExit(f"row {pair[0].source}: two prompts")
    return {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}


def prepare(work: Path, job: dict[str, Any]) -> None:
    """Pairs of token ids in training order, and the LoRA matrices as they are before the first step."""
    recipe, data = recipe_of(job), pairs(work)
    lm = trainable(load_base(recipe))
    found = [told(pair) for pair in encoded(lm, recipe, data)]
    write_json(work / "pairs.json", found)
    patch = options(recipe)
    with attached(lm, patch, run.objective_of(recipe, patch, data, lm), (), recipe.seed) as (adapted, _, _):
        write_tensors(work / "lora.safetensors", patch.export(adapted)[0])
    sizes = [(len(p["prompt_ids"]), len(p["chosen_ids"]), len(p["rejected_ids"])) for p in found]
    measure.give(
        pairs=len(found),
        tokens=sum(2 * prompt + a + b for prompt, a, b in sizes),
        answers=sum(a + b for _, a, b in sizes),
        longest=max(prompt + max(a, b) for prompt, a, b in sizes),
    )


class Clock:
    """Time from when the reference is first asked, which begins the first step, to the end of the last step.

    reference: the seconds of these in which the reference was asked.
    """

    def __init__(self) -> None:
        self.watch, self.reference, self.reports = measure.Watch(), 0.0, list[Report]()

    def step(self, report: Report) -> None:
        """Called by the loop after each step."""
        self.reports.append(report)
        self.watch.stop()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """For the length of a `with` block every question to a reference is counted."""
        plain = Context.reference

        @contextmanager
        def timed(ctx: Context) -> Iterator[Reader]:
            begin = time.perf_counter()
            if not self.reference:
                self.watch.start()
            with plain(ctx) as reader:
                yield reader
            self.reference += time.perf_counter() - begin

        with mock.patch.object(Context, "reference", timed):
            yield


def train(work: Path, job: dict[str, Any]) -> None:
    """One epoch."""
    recipe, data, clock = recipe_of(job), pairs(work), Clock()
    lm = trainable(load_base(recipe))
    before = measure.product_rate()
    with clock.watching(), run.adapted(lm, recipe, data, say=clock.step):
        peak = measure.peak_bytes()
    count = len(read_json(work / "pairs.json"))
    measure.give(
        pairs_per_second=count / clock.watch.seconds,
        reference_seconds=clock.reference,
        losses=[r.loss for r in clock.reports],
        rates=[r.learning_rate for r in clock.reports],
        **measure.figures(clock.watch, before, peak),
        versions=measure.versions("luthier", "torch", "transformers"),
    )


if __name__ == "__main__":
    if given := measure.asked(prepare):
        _, folder, job = given
        train(folder, job)
