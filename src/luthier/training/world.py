"""Who trains a model: this process alone, or several together (`luthier.training.ranks`).

The loop asks its world for what runs the passes, for checkpoints and for the file of metrics, and knows no more of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.core.torchrun import started
from luthier.io.checkpoint import Checkpoints
from luthier.io.metrics_file import MetricsFile
from luthier.training.executor import Single

if TYPE_CHECKING:
    from luthier.core.example import Example
    from luthier.core.methods import ParamGroup, Patch
    from luthier.io.config import ParallelConfig, TrainingConfig
    from luthier.models.base import TrainableLM

T = TypeVar("T")


class World(Protocol):
    """What a loop is given by those who train together."""

    @property
    def several(self) -> bool:
        """Whether the model is cut over processes, so that whoever wants it whole reads it from a checkpoint."""
        ...

    @property
    def leads(self) -> bool:
        """Whether this process writes the run's files and tells how it goes."""
        ...

    def first(self, call: Callable[[], T]) -> T | None:
        """What the process that leads gets by this, once it has done it; the others wait for it, and get None."""

    def executor(
        self, lm: TrainableLM, patch: Patch, groups: Sequence[ParamGroup], training: TrainingConfig,
        examples: Sequence[Example], epsilon: float,
    ) -> Single:  # fmt: skip
        """What runs the passes."""

    def checkpoints(self, folder: Path, keep: int) -> Checkpoints:
        """Those of a run folder."""

    def metrics(self, path: Path, step: int) -> MetricsFile | None:
        """Where steps are told; None for whoever leaves that to another."""


class Alone:
    """One process."""

    several: ClassVar[bool] = False
    leads: ClassVar[bool] = True

    def first(self, call: Callable[[], T]) -> T | None:
        return call()

    def executor(
        self, lm: TrainableLM, patch: Patch, groups: Sequence[ParamGroup], training: TrainingConfig,
        examples: Sequence[Example], epsilon: float,
    ) -> Single:  # fmt: skip
        return Single(lm, patch, groups, training, examples, epsilon)

    def checkpoints(self, folder: Path, keep: int) -> Checkpoints:
        return Checkpoints(folder, keep)

    def metrics(self, path: Path, step: int) -> MetricsFile | None:
        return MetricsFile(path, step)


@contextmanager
def world(parallel: ParallelConfig | None) -> Iterator[World]:
    """All processes that torchrun started, or this one, for the length of a `with` block.

    Raises LuthierError where these are not as many as are asked for.
    """
    if started():
        from luthier.training.ranks.group import joined

        with joined(parallel) as ranks:
            yield ranks
    elif parallel is not None and parallel.size > 1:
        raise LuthierError(say("said_ranks_alone", size=parallel.size))
    else:
        yield Alone()
