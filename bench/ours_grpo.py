"""LoRA GRPO by Luthier, the way `luthier train` runs it: our side of bench/grpo_vs_trl.py.

    ours_grpo.py prepare WORK   # WORK/prompts.json: what both sides answer
    ours_grpo.py run WORK       # one measured training run

WORK/job.json holds the settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import measure
from luthier.core.progress import Report
from luthier.core.records import Asked, Message, Record
from luthier.core.split import Split
from luthier.data.embedded import find
from luthier.io.config import Recipe, recipe_from
from luthier.io.files import read_json, write_json
from luthier.models.loading.of_recipe import load_base, trainable
from luthier.runs import run

SET = "desk"


class Vowels:
    """What both sides are rewarded for: the share of an answer's characters that are vowels."""

    def score(self, prompts: Sequence[Any], answers: Sequence[str], records: Sequence[Record]) -> list[float]:
        return [sum(c in "aeiou" for c in answer) / max(len(answer), 1) for answer in answers]


def recipe_of(job: dict[str, Any]) -> Recipe:
    """So many steps of a rollout each."""
    return recipe_from(
        {
            "method": "lora",
            "patch": {"rank": job["rank"], "alpha": job["alpha"]},
            "objective": {
                "name": "grpo", "answers": job["answers"], "new_tokens": job["new_tokens"], "beta": job["beta"],
                "temperature": job["temperature"], "max_length": job["max_length"], "variant": "dapo",
            },
            "training": {"tokens": 10**9, "batch": job["prompts"], "learning_rate": job["lr"], "clip": job["clip"]},
            "dtype": "float32",
            "threads": job["threads"],
            "seed": job["seed"],
            "reward": "re:x",
        }
    )  # fmt: skip


def prepare(work: Path, job: dict[str, Any]) -> None:
    """The prompts of the embedded help desk, as many as all steps answer."""
    found = find(SET)
    assert found is not None
    rows = found.table().records[: job["prompts"] * job["steps"]]
    texts = [row.asked[-1].content if not isinstance(row.asked, str) else row.asked for row in rows]
    write_json(work / "prompts.json", texts)
    measure.give(prompts=len(texts))


class EnoughError(Exception):
    """The last step is done."""


class Clock:
    """Time from the first rollout to the end of the last step."""

    def __init__(self, steps: int) -> None:
        self.watch, self.reports, self.steps = measure.Watch(), list[Report](), steps

    def step(self, report: Report) -> None:
        """Called by the loop after each step."""
        self.reports.append(report)
        self.watch.stop()
        if len(self.reports) == self.steps:
            raise EnoughError


def train(work: Path, job: dict[str, Any]) -> None:
    """The steps, each with a rollout of its own."""
    rows = tuple(Asked((Message("user", text),)) for text in read_json(work / "prompts.json"))
    recipe, clock = recipe_of(job), Clock(job["steps"])
    lm = trainable(load_base(recipe))
    before = measure.product_rate()
    from luthier.training.context import Context

    plain = Context.sample

    def timed(ctx: Context, *given: Any) -> Any:
        if not clock.reports and not clock.watch.seconds:
            clock.watch.start()
        return plain(ctx, *given)

    peak = 0
    with mock.patch.object(Context, "sample", timed), mock.patch.object(run, "reward_of", lambda *_: Vowels()):
        try:
            with run.adapted(lm, recipe, Split("preference", rows, ()), say=clock.step):
                pass
        except EnoughError:
            peak = measure.peak_bytes()
    answers = job["prompts"] * job["answers"] * job["steps"]
    told = [report.metrics or {} for report in clock.reports]
    measure.give(
        samples_per_second=answers / clock.watch.seconds,
        tokens_per_second=sum(m["length"] for m in told) * job["prompts"] * job["answers"] / clock.watch.seconds,
        seconds=clock.watch.seconds,
        length=sum(m["length"] for m in told) / len(told),
        others=clock.watch.others,
        peak_bytes=peak,
        rewards=[m["reward"] for m in told],
        product_rate=[before, measure.product_rate()],
        versions=measure.versions("luthier", "torch", "transformers"),
    )


if __name__ == "__main__":
    if given := measure.asked(prepare):
        _, folder, settings = given
        train(folder, settings)
