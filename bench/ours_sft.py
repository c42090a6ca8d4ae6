"""LoRA SFT by Luthier, the way `luthier train` runs it: our side of bench/sft_vs_trl.py.

    ours_sft.py prepare WORK    # WORK/rows.json: what the peer trains on; WORK/lora.safetensors: the start of both
    ours_sft.py run WORK        # one measured training run

WORK/job.json holds the rows as they stand in the data file and the settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import measure
import operations
from luthier.core.cursor import Cursor
from luthier.core.example import Example, renumbered
from luthier.core.progress import Report
from luthier.core.records import Chat, Message
from luthier.core.split import Split
from luthier.io.config import Recipe, options, recipe_from
from luthier.io.files import write_json, write_tensors
from luthier.models.base import TrainableLM
from luthier.models.kernels.product import product
from luthier.models.loading.of_recipe import load_base, trainable
from luthier.runs import run
from luthier.training.attach import attached


def chats(rows: list[dict[str, str]]) -> Split:
    """The rows as conversations: instruction and input are the user's words."""
    found = []
    for row in rows:
        ask = f"{row['instruction']}\n{row['input']}".strip()
        found.append(Chat((Message("user", ask), Message("assistant", row["output"]))))
    return Split("generation", tuple(found), ())


def recipe_of(job: dict[str, Any]) -> Recipe:
    """One epoch of LoRA over the rows; no warm-up, so that both sides move from the first step on."""
    training = {"tokens": 10**9, "epochs": 1.0, "batch": job["batch"], "learning_rate": job["lr"], "warmup": 0.0}
    return recipe_from(
        {
            "method": "lora",
            "patch": {"rank": job["rank"], "alpha": job["alpha"]},
            "objective": {"name": "sft", "max_length": job["max_length"]},
            "training": training | {"clip": job["clip"]},
            "dtype": "float32",
            "threads": job["threads"],
            "seed": job["seed"],
        }
    )


def encoded(lm: TrainableLM, recipe: Recipe, data: Split) -> list[Example]:
    """The token sequences in the order in which the loop takes them in its first epoch."""
    objective = run.objective_of(recipe, options(recipe), data, lm)
    examples = renumbered(objective.encode(lm, data, data.train))
    return [examples[i] for i in Cursor(recipe.seed).permutation(len(examples))]


def prepare(work: Path, job: dict[str, Any]) -> None:
    """Token ids and labels in training order, and the LoRA matrices as they are before the first step."""
    recipe, data = recipe_of(job), chats(job["rows"])
    lm = trainable(load_base(recipe))
    rows = []
    for e in encoded(lm, recipe, data):
        labels = [-100] * len(e.ids)
        for where, target in zip(e.where, e.targets, strict=True):
            labels[where + 1] = target
        rows.append({"input_ids": list(e.ids), "labels": labels})
    write_json(work / "rows.json", rows)
    patch = options(recipe)
    with attached(lm, patch, run.objective_of(recipe, patch, data, lm), (), recipe.seed) as (adapted, _, _):
        write_tensors(work / "lora.safetensors", patch.export(adapted)[0])
    measure.give(tokens=sum(len(r["input_ids"]) for r in rows), longest=max(len(r["input_ids"]) for r in rows))


def rates() -> dict[str, float]:
    """GFLOP/s of torch's own products and of those that we use, which may be another library's."""
    return {
        "torch.mm": measure.product_rate(),
        "the faster library": measure.product_rate(multiply=product),
    }


def train(job: dict[str, Any]) -> None:
    """One epoch; time and tokens count from the end of the first step to the end of the last."""
    recipe, data = recipe_of(job), chats(job["rows"])
    lm = trainable(load_base(recipe))
    counted = operations.lora_step(lm, job["rank"], encoded(lm, recipe, data)[job["batch"] :])
    before = rates()
    reports: list[Report] = []
    watch = measure.Watch()

    def say(report: Report) -> None:
        reports.append(report)
        watch.stop() if len(reports) > 1 else watch.start()

    with run.adapted(lm, recipe, data, say=say):
        peak = measure.peak_bytes()
    tokens = reports[-1].tokens - reports[0].tokens
    after = rates()
    measure.give(
        tokens=tokens,
        seconds=watch.seconds,
        tokens_per_second=tokens / watch.seconds,
        others=watch.others,
        peak_bytes=peak,
        losses=[r.loss for r in reports],
        rates=[r.learning_rate for r in reports],
        product_rate=[before["torch.mm"], after["torch.mm"]],
        share_of_rate={name: counted / watch.seconds / 1e9 / ((before[name] + after[name]) / 2) for name in before},
        versions=measure.versions("luthier", "torch", "transformers"),
    )


if __name__ == "__main__":
    if given := measure.asked(prepare):
        train(given[2])
