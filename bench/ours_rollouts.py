"""LoRA learning from its own answers by Luthier, the way `luthier train` runs it: our side of bench/*po_vs_trl.py.

    ours_rollouts.py prepare WORK   # WORK/prompts.json: what both sides answer; WORK/reward: a model that judges them
    ours_rollouts.py run WORK       # one measured training run

WORK/job.json holds the settings. Of `judge: model` a copy of the base with a head of random numbers judges, which costs
what a reward model costs; else a function that costs nothing does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch

import measure
from luthier.core.progress import Report
from luthier.core.records import Asked, Message, Record
from luthier.core.split import Split
from luthier.data.embedded import find
from luthier.io.config import Recipe, recipe_from
from luthier.io.files import read_json, read_tensors, write_json
from luthier.models.inference.scoring import last_hidden
from luthier.models.loading.of_recipe import load_base, trainable
from luthier.runs import run
from luthier.training.context import Context

SET = "desk"


class Vowels:
    """The share of an answer's characters that are vowels."""

    def score(self, prompts: Sequence[Any], answers: Sequence[str], records: Sequence[Record]) -> list[float]:
        return [sum(c in "aeiou" for c in answer) / max(len(answer), 1) for answer in answers]


class Model:
    """A head of the reward model's folder on a base of its own."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        lm = trainable(load_base(recipe))
        self.lm = lm.asked(template=lm.wordings(())[0], labels=())
        self.head = read_tensors(folder / "model.safetensors")["score.weight"]

    def score(self, prompts: Sequence[Any], answers: Sequence[str], records: Sequence[Record]) -> list[float]:
        lm = self.lm
        ids = [[*lm.encode_prompt(p), *lm.encode_answer(a)] for p, a in zip(prompts, answers, strict=True)]
        with torch.no_grad():
            states = torch.cat(list(last_hidden(lm, ids)))
        return [float(x) for x in (states @ self.head.T)[:, 0]]


def recipe_of(job: dict[str, Any]) -> Recipe:
    """So many steps, a rollout each."""
    return recipe_from(
        {
            "method": "lora",
            "patch": {"rank": job["rank"], "alpha": job["alpha"]},
            "objective": job["objective"],
            "training": {"tokens": 10**9, "batch": job["prompts"], "learning_rate": job["lr"], "clip": job["clip"]},
            "dtype": "float32",
            "threads": job["threads"],
            "seed": job["seed"],
            "reward": "re:x",
        }
    )


def prepare(work: Path, job: dict[str, Any]) -> None:
    """The prompts of the embedded help desk, as many as all steps answer."""
    found = find(SET)
    assert found is not None
    rows = found.table().records[: job["prompts"] * job["steps"]]
    texts = [row.asked[-1].content if not isinstance(row.asked, str) else row.asked for row in rows]
    write_json(work / "prompts.json", texts)
    if job["judge"] == "model" and not (work / "reward").exists():
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        torch.manual_seed(job["seed"])
        made: Any = AutoModelForSequenceClassification.from_pretrained(job["model"], num_labels=1, dtype=torch.float32)
        made.save_pretrained(work / "reward")
        AutoTokenizer.from_pretrained(job["model"]).save_pretrained(work / "reward")
    measure.give(prompts=len(texts))


class EnoughError(Exception):
    """The last step is done."""


class Clock:
    """Time from the first rollout to the end of the last rollout's last step."""

    def __init__(self, steps: int) -> None:
        self.watch, self.reports, self.steps = measure.Watch(), list[Report](), steps

    def step(self, report: Report) -> None:
        """Called by the loop after each step."""
        self.reports.append(report)
        self.watch.stop()
        if len(self.reports) == self.steps:
            raise EnoughError


def train(work: Path, job: dict[str, Any]) -> None:
    """The rollouts, each with its steps."""
    rows = tuple(Asked((Message("user", text),)) for text in read_json(work / "prompts.json"))
    recipe, clock = recipe_of(job), Clock(job["steps"] * job["objective"].get("epochs", 1))
    lm, plain = trainable(load_base(recipe)), Context.sample
    reward = Model(work / "reward", recipe) if job["judge"] == "model" else Vowels()
    before = measure.product_rate()

    def timed(ctx: Context, *given: Any) -> Any:
        if not clock.reports and not clock.watch.seconds:
            clock.watch.start()
        return plain(ctx, *given)

    peak = 0
    with mock.patch.object(Context, "sample", timed), mock.patch.object(run, "reward_of", lambda *_: reward):
        try:
            with run.adapted(lm, recipe, Split("preference", rows, ()), say=clock.step):
                pass
        except EnoughError:
            peak = measure.peak_bytes()
    told = [report.metrics or {} for report in clock.reports][:: job["objective"].get("epochs", 1)]
    answers, length = job["prompts"] * job["answers"] * job["steps"], sum(m["length"] for m in told) / len(told)
    measure.give(
        **measure.drawn(clock.watch, answers, length),
        **measure.figures(clock.watch, before, peak),
        rewards=[m["reward"] for m in told],
        versions=measure.versions("luthier", "torch", "transformers"),
    )


if __name__ == "__main__":
    if given := measure.asked(prepare):
        _, folder, settings = given
        train(folder, settings)
