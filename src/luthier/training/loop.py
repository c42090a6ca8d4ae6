"""The only training loop: any patch, any objective.

    dataset -> an objective's batches -> an executor's passes -> named sums -> one optimiser step

The budget is counted in tokens that go through models (rollouts, references and teachers included), so methods are
compared at equal work. A step that would exceed the budget is not begun. Everything that decides the next step
(weights, optimiser, place in the data, what the objective holds, random state) is in one checkpoint file, so a killed
run resumes bit for bit on the same number of CPU threads. Checkpoints are written while training goes on.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from luthier.core.cursor import Cursor
from luthier.core.errors import Diverged, LuthierError
from luthier.core.example import Example, units_of
from luthier.core.methods import Objective, ParamGroup, Patch
from luthier.core.phrases import say
from luthier.core.progress import Report
from luthier.core.records import Record
from luthier.core.schedules import SCHEDULES
from luthier.io.checkpoint import FOLDER, Checkpoints, joined, parted
from luthier.io.config import TrainingConfig
from luthier.models.kernels.allocator import kept
from luthier.models.kernels.fast import fast
from luthier.models.machine import Heap
from luthier.training.context import Context
from luthier.training.early_stopping import Callback

LOST = 8  # steps in a row that an objective calls lost, which end a run


@dataclass
class Trained:
    """What a finished loop gives back. tokens: of the training itself; others: of rollouts, references, teachers."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float = math.nan
    others: int = 0


class Loop:
    """One training run of a patch that is already attached; `run()` trains to the end, from a checkpoint if any.

    A learning rate of None is the middle of the patch's own range.
    """

    def __init__(
        self, ctx: Context, patch: Patch, objective: Objective, groups: Sequence[ParamGroup],
        examples: Sequence[Example], training: TrainingConfig, folder: Path | None = None,
        say: Callable[[Report], None] | None = None, watch: Callback | None = None,
    ) -> None:  # fmt: skip
        if not examples:
            raise LuthierError("nothing to learn from: no row has a token that carries loss within max_length")
        ctx.patch, ctx.objective = patch, objective
        self.ctx, self.lm, self.patch, self.objective, self.examples = ctx, ctx.policy, patch, objective, examples
        if training.learning_rate is None:
            training = replace(training, learning_rate=patch.learning_rates[len(patch.learning_rates) // 2])
        self.training, self.folder, self.say, self.watch = training, folder, say, watch or Callback()
        self.checkpoints = ctx.world.checkpoints(folder, training.keep_checkpoints) if folder else None
        self.executor = ctx.executor = ctx.world.executor(
            self.lm, patch, groups, training, objective.kept(examples), objective.epsilon
        )
        self.cursor = Cursor(ctx.seed)
        self._before = self.cursor.place  # before the step that is being made
        self.done = Trained()
        self._first = 0  # tokens of the step that the budget does not hold, where there is one
        self.finished, self.lost, self.lowest = False, 0, math.inf
        ctx.meter.limit = training.tokens
        self.epochs = self._epochs()
        self.limit = min(training.tokens, self.epochs)
        torch.manual_seed(ctx.seed)

    def _epochs(self) -> int:
        """Tokens of training in as many epochs as are asked for; what else is read does not count in them."""
        if self.training.epochs is None:
            return self.training.tokens
        return math.ceil(self.training.epochs * self.objective.epoch(self.examples))

    @property
    def share(self) -> float:
        """Of the budget or of the epochs: what is spent, and how far training has come."""
        return max(self.spent / self.training.tokens, self.done.tokens / self.epochs)

    @property
    def spent(self) -> int:
        """Tokens of the budget that are gone."""
        return self.done.tokens + self.ctx.meter.total

    def run(self) -> Trained:
        """Train until the budget is spent; raises Diverged when the loss is not finite."""
        self._resume()
        metrics = self.ctx.world.metrics(self.folder / "metrics.jsonl", self.done.steps) if self.folder else None
        steps, heap = self._steps(), Heap()
        begin, seconds_before, tokens_before = time.monotonic(), self.done.seconds, self.spent
        written = closing(metrics) if metrics else nullcontext()
        with fast(self.lm.model), kept(), written, self.checkpoints or nullcontext():
            while not self.finished and (chosen := self._next(steps)) is not None:
                if (report := self._step(chosen)) is None:
                    continue
                heap.after_step()
                self.watch.after_step(self, report)
                elapsed = time.monotonic() - begin
                self.done.seconds = seconds_before + elapsed
                report.tokens_per_second = (self.spent - tokens_before) / max(elapsed, 1e-9)
                if metrics:
                    metrics.add(report)
                if self.say:
                    self.say(report)
                if self.checkpoints and not self.lost and self.checkpoints.due(self.training.checkpoint_seconds):
                    self._begin_save(self.checkpoints)
        if not self.done.steps:
            self._no_step()
        self.watch.finish(self)
        self.executor.publish()
        self.objective.finish(self.ctx, self.examples)
        self.finished = True
        return self.done

    def _next(self, steps: Iterator[list[Example]]) -> list[Example] | None:
        """The examples of the next step; what cannot be made (a reward's server is gone) leaves what stands so far."""
        spent = Counter(self.ctx.meter.by)
        try:
            return next(steps, None)
        except LuthierError:
            if self.done.steps:
                self.ctx.meter.by = spent
                self.cursor.epoch, self.cursor.at = self._before
                self.save()
            raise

    def _no_step(self) -> None:
        if self.done.tokens:
            raise Diverged(say("said_diverged_skipped", **self.executor.told()))
        cost = self.objective.step_cost(self.lm, self.ctx.data, self.training.batch)
        raise LuthierError(say("said_refused_budget", tokens=self.limit, first=round(cost) if cost else self._first))

    def _steps(self) -> Iterator[list[Example]]:
        """The examples of each step while the budget holds them; objective and cursor stand behind what is yielded."""
        batches = self.objective.batches(self.ctx, self.examples, self.training.batch, self.cursor)
        while True:
            self._before = self.cursor.place
            if (chosen := next(batches, None)) is None:
                return
            self.done.others = self.ctx.meter.total
            more = self._first = sum(e.tokens for e in chosen)
            if self.spent + more > self.training.tokens or self.done.tokens + more > self.epochs:
                return
            yield chosen

    def _rate(self) -> float:
        """By the share of the budget that is spent."""
        given = self.training
        named = SCHEDULES.get(given.schedule)
        share = named(self.share, given.warmup, given.decay) if named else self.objective.rate(self.share, given.warmup)
        return (given.learning_rate or 0.0) * share

    def _step(self, chosen: Sequence[Example]) -> Report | None:
        """None where the executor skips the step: its tokens are spent."""
        rate, progress = self._rate(), self.share
        losses = self.executor.forward_backward(chosen, self.objective)
        norm = self.executor.clip_and_step(rate, progress) if math.isfinite(losses.total) else math.nan
        if norm is not None and not math.isfinite(norm):
            self._not_finite(chosen, losses.total, norm)
        self.done.tokens += sum(e.tokens for e in chosen)
        self.ctx.meter.trained = self.done.tokens
        if norm is None:
            return None
        self.done.steps += 1
        self.done.loss = losses.total
        self.lowest = min(self.lowest, losses.total)
        self.lost = self.lost + 1 if self.objective.lost(self.lm, losses.total, self.lowest, norm) else 0
        if self.lost == LOST:
            known = {"step": self.done.steps, "loss": losses.total, "norm": norm, "steps": LOST}
            raise self._diverged(say("said_diverged_lost", **known))
        told = {**losses.metrics, **self.executor.told(), **self.objective.told()} or None
        return Report(self.done.steps, self.spent, losses.total, rate, norm, 0.0, self.share, metrics=told)

    def _not_finite(self, chosen: Sequence[Example], loss: float, norm: float) -> None:
        """Stop before the weights are touched, naming the rows; the weights as they are become the checkpoint."""
        self.executor.forget()
        known: dict[str, object] = {"step": self.done.steps + 1, "loss": loss, "norm": norm}
        if not self.executor.sound():
            raise self._diverged(say("said_diverged_weights", **known))
        units = [[chosen[at] for at in unit] for unit in units_of(chosen)]
        broken = [unit for unit in units if self.executor.breaks(unit, self.objective)]
        bad = {example.source for unit in broken for example in unit}
        known |= {"rows": ", ".join(map(str, sorted(bad or {e.source for e in chosen})))}
        if len(broken) == len(units) > 1:
            raise self._diverged(say("said_diverged_all", **known))
        if not self.folder:
            raise Diverged(say("said_diverged_rows", **known))
        self.cursor.epoch, self.cursor.at = self._before
        self.save()
        raise Diverged(say("said_diverged_rows_kept", **known, folder=self.folder / FOLDER))

    def _diverged(self, why: str) -> Diverged:
        """The weights are to blame: those since the loss was lost, or not to be computed, are kept no longer."""
        if self.checkpoints:
            self.checkpoints.drop(self.done.steps - self.lost)
        return Diverged(why)

    def save(self) -> None:
        """Write a checkpoint; weights that are broken make none."""
        if self.checkpoints:
            self._begin_save(self.checkpoints)
            self.checkpoints.wait()

    def _begin_save(self, checkpoints: Checkpoints) -> None:
        """Have everything written that exact resume needs."""
        if not self.executor.sound():
            return
        patch, own = parted("patch", self.patch.state(self.lm))
        objective, held = parted("objective", self.objective.state())
        tensors = {**self.executor.tensors(), "random": torch.get_rng_state(), **self.watch.tensors(), **own, **held}
        state = {
            "done": self.done.__dict__,
            "rng": [self.cursor.seed, self.cursor.epoch, self.cursor.at],
            "patch": patch,
            "objective": objective,
            "meter": dict(self.ctx.meter.by),
            "limit": self.limit,
            "watch": self.watch.state(),
            "learning_rate": self.training.learning_rate,
        }
        checkpoints.begin(self.done.steps, state, tensors)

    def _resume(self) -> None:
        found = self.checkpoints.newest() if self.checkpoints else None
        if found is None:
            return
        state, tensors = found.state, found.tensors
        if state["limit"] != self.limit or not self.executor.load(tensors):
            raise LuthierError(f"{found.path} belongs to another recipe: give this run another folder, or remove it")
        for name, why in found.damaged.items():
            self.ctx.notes.append(say("said_checkpoint", name=name, reason=why, taken=found.path.name))
        if (rate := state.get("learning_rate", self.training.learning_rate)) != self.training.learning_rate:
            known = {"before": rate, "now": self.training.learning_rate, "step": state["done"]["steps"]}
            self.ctx.notes.append(say("said_rate_changed", **known))
        torch.set_rng_state(tensors["random"])
        self.watch.load(self, state.get("watch", {}), tensors.__getitem__)
        self.done = Trained(**state["done"])
        self.cursor = Cursor(*state["rng"])
        self.ctx.meter.by = Counter(state.get("meter", {}))
        self.ctx.meter.trained = self.done.tokens
        self.patch.load_state(self.lm, joined("patch", state["patch"], tensors))
        self.objective.load_state(joined("objective", state.get("objective", {}), tensors))

    def evaluate(self, examples: Sequence[Example]) -> float:
        """Mean loss over examples that were encoded the same way, in nats per weighted item."""
        return self.executor.evaluate(self.objective.completed(self.ctx, examples), self.objective)

    def validate(self, rows: Sequence[Record]) -> float:
        """What the search for a learning rate is judged by."""
        return self.objective.validate(self.ctx, rows)
