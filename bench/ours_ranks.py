"""One side of bench/ranks_vs_threads.py: steps of the product's loop by one process, or by those that torchrun started.

    ours_ranks.py prepare WORK       as ours_pretrain.py has it
    ours_ranks.py train WORK         steps; figures as the last line

WORK/job.json: as for ours_pretrain.py, and parallel: degrees, {} for one process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import measure
from luthier.core.progress import Report
from luthier.core.split import Split
from luthier.data.stream import Stream
from luthier.io.config import ParallelConfig
from luthier.models.loading.of_recipe import load_base, trainable
from luthier.runs import run
from luthier.training.world import world
from ours_pretrain import prepare, recipe_of


def train(work: Path, job: dict[str, Any]) -> None:
    """Time and tokens count from the end of the last warm step to the end of the last one."""
    recipe, data = recipe_of(work, job), Split("text", (), (), stream=Stream(work / "tokens"))
    degrees = ParallelConfig(**job["parallel"]) if job["parallel"] else None
    reports: list[Report] = []
    watch = measure.Watch()

    def say(report: Report) -> None:
        reports.append(report)
        watch.start() if len(reports) == job["warm"] else watch.stop()

    with world(degrees) as ranks:
        lm = trainable(load_base(recipe))
        count = sum(p.numel() for p in lm.model.parameters())
        with run.adapted(lm, recipe, data, say=say, world=ranks):
            pass
        own, peaks = [watch.own], [float(measure.peak_bytes())]
        if ranks.several:
            own, peaks = ranks.summed(own), ranks.summed(peaks)  # type: ignore[attr-defined]
        if not ranks.leads:
            return
    others = watch.others - (own[0] - watch.own) / (watch.seconds * len(measure.cores()))
    tokens = job["steps"] * job["batch"] * job["length"]
    measure.give(
        tokens=tokens, seconds=watch.seconds, tokens_per_second=tokens / watch.seconds, others=max(others, 0.0),
        losses=[r.loss for r in reports], parameters=count, peak_bytes_of_all=peaks[0],
        versions=measure.versions("luthier", "torch", "transformers"),
    )  # fmt: skip


if __name__ == "__main__":
    if given := measure.asked(prepare):
        {"train": train}[given[0]](*given[1:])
