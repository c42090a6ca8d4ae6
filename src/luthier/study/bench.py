"""The bench of a study: a base model, the data and a budget; one training run after the other, each scored alike.

A run goes through `luthier.training` as every run does. It is scored by the loss on the test rows, row by row, so
that arms are compared in pairs; for labels that is -log p(right label) among the labels, and it is right or wrong too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.core.methods import Patch
from luthier.core.progress import Report
from luthier.core.records import Labelled, Record
from luthier.core.split import Split
from luthier.io import config
from luthier.io.config import Recipe, TrainingConfig
from luthier.models.machine import peak_memory, reset_peak_memory
from luthier.runs.run import objective_of
from luthier.study.experiment import Arm, Measured
from luthier.training.attach import prepared
from luthier.training.context import Context
from luthier.training.loop import Loop

if TYPE_CHECKING:
    from luthier.core.example import Example
    from luthier.models.base import TrainableLM
    from luthier.training.early_stopping import Callback

SHOWN = 40  # points of a training curve that are kept


@dataclass
class Bench:
    """tokens: of one run. say: told of every training step: its loss in words, the share of the run that is done."""

    lm: TrainableLM
    data: Split
    tokens: int
    batch: int
    say: Callable[[str, float], None] | None = None

    @contextmanager
    def session(self, arm: Arm, seed: int, patch: Patch | None = None) -> Iterator[Session]:
        """The arm's patch attached and ready to train; the base is afterwards what it was.

        patch: in place of the one that the arm's options make, where a study has to look inside.
        """
        recipe = Recipe(method=arm.method, patch=dict(arm.options))
        method: Patch = patch or config.options(recipe)
        ctx = Context(self.lm, replace(self.data, test=()), seed)
        objective = objective_of(recipe, method, ctx.data, self.lm)
        training = TrainingConfig(tokens=self.tokens, batch=self.batch, learning_rate=arm.rate)
        reset_peak_memory()
        session = Session(self, method)
        with prepared(ctx, method, objective, training, say=session.hear) as ready:
            session.work, session.trainable, session.loop = ready.ctx.policy, ready.trainable, ready.loop
            yield session


@dataclass
class Session:
    """One run: a loop that has not begun, then one that has ended."""

    bench: Bench
    patch: Patch
    work: TrainableLM = field(init=False)
    trainable: int = field(init=False)
    loop: Loop = field(init=False)
    reports: list[Report] = field(default_factory=list)

    def hear(self, report: Report) -> None:
        """Keep what a step tells, and tell it on."""
        self.reports.append(replace(report))
        if self.bench.say:
            self.bench.say(f"loss {report.loss:.3f}", report.progress)

    def encoded(self, records: Sequence[Record]) -> list[Example]:
        """Rows as the objective reads them."""
        return self.loop.objective.encode(self.work, replace(self.bench.data, test=()), records)

    def train(self, watch: Callback | None = None) -> None:
        """Train to the end of the budget. Raises LuthierError when the loss is not finite."""
        if watch:
            self.loop.watch = watch
        self.loop.run()

    def measured(self) -> Measured:
        """Cost and quality of the run (JSON)."""
        done, memory = self.loop.done, peak_memory()
        tensors, _ = self.patch.export(self.work)
        every = max(1, len(self.reports) // SHOWN)
        return {
            "trainable": self.trainable,
            "bytes": sum(t.numel() * t.element_size() for t in tensors.values()),
            "memory": memory,
            "seconds": done.seconds,
            "tokens": done.tokens,
            "steps": done.steps,
            "rate": self.loop.training.learning_rate,
            "curve": [[r.step, r.tokens, r.loss] for i, r in enumerate(self.reports) if i % every == 0],
            **self.scored(),
        }

    def _finite(self, losses: list[float]) -> list[float]:
        if not all(map(math.isfinite, losses)):
            raise LuthierError("after training the loss on the test rows is not finite")
        return losses

    def scored(self) -> dict[str, Any]:
        """loss: of each test row, in nats. right: 1 or 0 a row, where rows have a label."""
        rows, data = self.bench.data.test, self.bench.data
        if data.task == "classification":
            texts = [r.text for r in rows if isinstance(r, Labelled)]
            found = self.work.predict(texts, data.labels).float()
            wanted = [data.labels.index(r.wanted) for r in rows]
            loss = [-float(found[i, k]) for i, k in enumerate(wanted)]
            return {
                "loss": self._finite(loss),
                "right": [float(int(found[i].argmax()) == k) for i, k in enumerate(wanted)],
            }
        examples = [self.encoded([row]) for row in rows]
        if not all(examples):
            raise LuthierError("a test row has nothing to predict within max_length: leave it out")
        return {"loss": self._finite([self.loop.evaluate(e) for e in examples]), "right": None}
