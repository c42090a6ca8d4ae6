"""Early stopping: what is looked at, when it ends, which weights remain, and that a resumed run is the same run."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from luthier.core.errors import LuthierError
from luthier.core.example import renumbered
from luthier.io.config import TrainingConfig
from luthier.io.metrics_file import read_metrics
from luthier.models.causal import CausalLM
from luthier.objectives.classify import Classify
from luthier.patches.lora import Lora
from luthier.runs import run
from luthier.training.attach import attached
from luthier.training.context import Context
from luthier.training.early_stopping import EarlyStop
from luthier.training.loop import Loop

LABELS = tiny.LABELLED.labels


class Scripted(EarlyStop):
    """Looks that see a given series of losses instead of the model's."""

    def __init__(self, losses: list[float], every: float, patience: int | None) -> None:
        super().__init__([object()], every, patience)  # type: ignore[list-item]
        self.losses = losses
        self.seen: list[int] = []

    def _look(self, loop: Loop) -> float:
        evaluate, loop.evaluate = loop.evaluate, lambda examples: self.losses[len(self.seen) - 1]  # type: ignore[method-assign]
        try:
            self.seen.append(loop.done.steps)
            return super()._look(loop)
        finally:
            loop.evaluate = evaluate  # type: ignore[method-assign]


def trained(
    lm: CausalLM, watch: EarlyStop | None, folder: Path | None = None, **more: Any
) -> tuple[Loop, dict[int | str, Any]]:
    """A run of LoRA at most 12 steps long; its loop, and the weights after each step and at the end."""
    kept: dict[int | str, Any] = {}
    with attached(lm, Lora(), Classify(), LABELS, 0) as (work, groups, objective):
        examples = renumbered(objective.encode(work, tiny.LABELLED, tiny.LABELLED.train))
        training = TrainingConfig(tokens=10**9, epochs=6, batch=4, learning_rate=0.01)
        loop = Loop(Context(work), Lora(), objective, groups, examples, training, folder, watch=watch)
        stop = more.get("stop")

        def after(report: Any) -> None:
            kept[report.step] = tiny.bits(loop.lm.model)
            if report.step == more.get("save"):
                loop.save()
            if report.step == stop:
                raise KeyboardInterrupt

        loop.say = after
        with contextlib.suppress(KeyboardInterrupt):
            loop.run()
        kept["end"] = tiny.bits(loop.lm.model)
    return loop, kept


def test_ends_after_the_patience_with_the_best_weights(lm: CausalLM) -> None:
    """Seen failing with the last weights kept, and with `since` not set back by a better loss."""
    watch = Scripted([5.0, 3.0, 4.0, 2.0, 2.0, 2.5, 1.0], every=1, patience=2)
    loop, kept = trained(lm, watch)
    assert watch.seen == [1, 2, 3, 4, 5, 6] and loop.done.steps == 6 and watch.best_step == 4
    assert tiny.same(kept["end"], kept[4]) and not tiny.same(kept["end"], kept[6])


def test_the_last_weights_are_looked_at_too(lm: CausalLM) -> None:
    watch = Scripted([5.0, 4.0, 1.0], every=5, patience=9)
    loop, kept = trained(lm, watch)
    assert watch.seen == [5, 10, 12] == [5, 10, loop.done.steps] and watch.best_step == 12
    assert tiny.same(kept["end"], kept[12])


@pytest.mark.parametrize(("every", "looks"), [(0.25, [3, 6, 9, 12]), (0.4, [5, 10]), (4.0, [4, 8, 12])])
def test_looks_by_share_of_the_budget_or_by_steps(lm: CausalLM, every: float, looks: list[int]) -> None:
    watch = Scripted([1.0] * 20, every, None)
    loop, kept = trained(lm, watch)
    share = [step for step in looks if every >= 1 or step / 12 >= every]
    assert loop.done.steps == 12 and len(watch.seen) == len(looks)
    if every >= 1:
        assert watch.seen == share
    assert tiny.same(kept["end"], kept[12]), "without a patience the loss is only recorded"


def test_a_loss_that_is_no_number_is_no_better(lm: CausalLM) -> None:
    watch = Scripted([3.0, math.nan, math.nan], every=1, patience=2)
    _, kept = trained(lm, watch)
    assert watch.best_step == 1 and tiny.same(kept["end"], kept[1])


def test_looking_does_not_change_the_training(lm: CausalLM) -> None:
    examples = _examples(lm)
    _, plain = trained(tiny.fresh(Path(lm.name)), None)
    _, watched = trained(lm, EarlyStop(examples, 1.0, None))
    assert tiny.same(plain["end"], watched["end"])


def _examples(lm: CausalLM) -> list[Any]:
    with attached(lm, Lora(), Classify(), LABELS, 0) as (work, _, objective):
        rows = [r for r in tiny.LABELLED.validation if r.label in LABELS]  # type: ignore[union-attr]
        return renumbered(objective.encode(work, tiny.LABELLED, rows))


@pytest.mark.parametrize("save", [2, 4, 6])
def test_resumed_run_is_the_same_run(lm: CausalLM, save: int, tmp_path: Path) -> None:
    """Killed after the best look, between looks, and after the one that ends it.

    Seen failing with the best weights left out of the checkpoint, and with `since` left out of it.
    """
    losses = [5.0, 3.0, 4.0, 2.0, 2.0, 2.5]
    whole, want = trained(lm, Scripted(losses, 1, 2))
    lm = tiny.fresh(Path(lm.name))
    trained(lm, Scripted(losses, 1, 2), tmp_path, save=save, stop=min(save + 1, 6))
    watch = Scripted(losses[save:], 1, 2)
    loop, found = trained(tiny.fresh(Path(lm.name)), watch, tmp_path)
    assert loop.done.steps == whole.done.steps == 6 and watch.best_step == 4
    assert tiny.same(found["end"], want["end"])


def test_from_a_recipe(lm: CausalLM, tmp_path: Path) -> None:
    """The loss is in metrics.jsonl, and is what `Loop.evaluate` gives for the first 64 validation rows."""
    settings = {"early_stop": 3, "evaluate_every": 2, "learning_rate": 0.01, "batch": 4}
    recipe = tiny.recipe(Path(lm.name), objective={"name": "classify"}, training=settings)
    with run.adapted(lm, recipe, tiny.LABELLED, tmp_path) as outcome:
        lines = read_metrics(tmp_path / "metrics.jsonl")
        looked = {m["step"]: m["validation_loss"] for m in lines if "validation_loss" in m}
        assert list(looked) == [s for s in range(1, len(lines) + 1) if s % 2 == 0] and looked
        assert outcome.loop is not None and isinstance(outcome.lm, CausalLM)
        rows = outcome.loop.objective.encode(outcome.lm, tiny.LABELLED, tiny.LABELLED.validation)
        best = outcome.loop.evaluate(renumbered(rows))
    assert best == pytest.approx(min(looked.values()), rel=1e-5)


def test_what_makes_no_sense_is_said() -> None:
    with pytest.raises(LuthierError, match="no validation rows"):
        EarlyStop([], None, 1)
    for every, patience in ((0.0, 1), (-1.0, None), (0.1, 0)):
        with pytest.raises(LuthierError, match="at least 1"):
            EarlyStop([object()], every, patience)  # type: ignore[list-item]


def test_sixteen_bit_weights_come_back_through_their_masters(lm: CausalLM) -> None:
    tiny.moved(lm.model, torch.bfloat16)
    watch = Scripted([1.0, 2.0, 3.0], every=1, patience=2)
    with attached(lm, (patch := _full()), Classify(), LABELS, 0) as (work, groups, objective):
        examples = renumbered(objective.encode(work, tiny.LABELLED, tiny.LABELLED.train))
        training = TrainingConfig(tokens=10**9, epochs=6, batch=4, learning_rate=0.01)
        loop = Loop(Context(work), patch, objective, groups, examples, training, watch=watch)
        kept: dict[int, Any] = {}
        loop.say = lambda report: kept.update({report.step: tiny.bits(loop.lm.model)})
        loop.run()
        assert loop.done.steps == 3 and tiny.same(kept[1], tiny.bits(loop.lm.model))


def _full() -> Any:
    from luthier.patches.full import Full

    return Full()
