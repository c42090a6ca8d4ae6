"""Validation loss during training, and early stopping on it.

The loss of at most 64 validation rows is taken every so often and written to metrics.jsonl. With a patience, training
ends when that many looks in a row were no better than the best one, and the best weights are put back at the end. What
decides (the best loss, the looks since, the best weights) is in the checkpoint, so that a resumed run stays exact.
Source: Prechelt 1998, "Early Stopping - But When?".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.core.example import Example
    from luthier.core.progress import Report
    from luthier.training.loop import Loop

ROWS = 64  # validation rows that are looked at
SHARE = 0.1  # of the budget between two looks, unless told otherwise


class Callback:
    """What a `Loop` calls after every step and at the end; this one does nothing."""

    def after_step(self, loop: Loop, report: Report) -> None:
        """A step is done and not told yet."""

    def finish(self, loop: Loop) -> None:
        """The last step is done."""

    def tensors(self) -> dict[str, Tensor]:
        """For the checkpoint."""
        return {}

    def state(self) -> dict[str, Any]:
        """All else for the checkpoint (JSON values)."""
        return {}

    def load(self, loop: Loop, state: Mapping[str, Any], tensor: Callable[[str], Tensor]) -> None:
        """The inverse of `state` and `tensors`."""


class EarlyStop(Callback):
    """Looks at the validation rows now and then.

    every: below 1 a share of the budget, else a number of steps. patience: looks without a better loss that end the
    training; None only records the loss.
    """

    def __init__(self, examples: Sequence[Example], every: float | None, patience: int | None) -> None:
        self.examples, self.every, self.patience = list(examples), SHARE if every is None else every, patience
        if not self.examples:
            raise LuthierError("training.early_stop: there are no validation rows to look at")
        if not self.every > 0 or (patience is not None and patience < 1):
            raise LuthierError("training.evaluate_every must be more than 0, and training.early_stop at least 1")
        self.best, self.best_step, self.since = math.inf, 0, 0
        self.looked, self.looks = 0, 0  # the step of the last look; how many were due by then
        self.weights: dict[str, Tensor] = {}

    @property
    def _stopped(self) -> bool:
        """Whether the patience has run out."""
        return self.patience is not None and self.since >= self.patience

    def after_step(self, loop: Loop, report: Report) -> None:
        """Look if a look is due; the loss goes into the step's report."""
        due = int(report.step / self.every) if self.every >= 1 else int(report.progress / self.every)
        if due > self.looks:
            self.looks = due
            report.validation_loss = self._look(loop)
            loop.finished = loop.finished or self._stopped

    def _look(self, loop: Loop) -> float:
        loss = loop.evaluate(self.examples)
        self.looked = loop.done.steps
        if loss < self.best:
            self.best, self.best_step, self.since = loss, loop.done.steps, 0
            if self.patience is not None:
                self.weights = {name: p.detach().clone() for name, p in loop.executor.weights().items()}
        else:
            self.since += 1
        return loss

    def finish(self, loop: Loop) -> None:
        """Look at the last weights, too, and put the best ones back."""
        if self.patience is None:
            return
        if self.looked < loop.done.steps:
            self._look(loop)
        if self.weights:
            loop.executor.restore(self.weights)

    def tensors(self) -> dict[str, Tensor]:
        """The best weights, for the checkpoint."""
        return {f"best.{name}": value for name, value in self.weights.items()}

    def state(self) -> dict[str, Any]:
        """All else that the checkpoint holds."""
        best = self.best if math.isfinite(self.best) else None
        return {"best": best, "best_step": self.best_step, "since": self.since} | {
            "looked": self.looked, "looks": self.looks,
        }  # fmt: skip

    def load(self, loop: Loop, state: Mapping[str, Any], tensor: Callable[[str], Tensor]) -> None:
        """The inverse of `state` and `tensors`."""
        for key, value in state.items():
            setattr(self, key, value)
        self.best = math.inf if self.best is None else self.best
        if self.best_step and self.patience is not None:
            self.weights = {name: tensor(f"best.{name}") for name in loop.executor.weights()}
        loop.finished = loop.finished or self._stopped
