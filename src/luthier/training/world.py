"""Who trains a model: this process alone, or several together (`luthier.training.ranks`).

The loop asks its world for what runs the passes, for checkpoints and for the file of metrics, and knows no more of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from luthier.io.checkpoint import Checkpoints
from luthier.io.metrics_file import MetricsFile
from luthier.training.executor import Single

if TYPE_CHECKING:
    from luthier.core.example import Example
    from luthier.core.methods import ParamGroup, Patch
    from luthier.io.config import TrainingConfig
    from luthier.models.base import TrainableLM


class World(Protocol):
    """What a loop is given by those who train together."""

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

    def executor(
        self, lm: TrainableLM, patch: Patch, groups: Sequence[ParamGroup], training: TrainingConfig,
        examples: Sequence[Example], epsilon: float,
    ) -> Single:  # fmt: skip
        return Single(lm, patch, groups, training, examples, epsilon)

    def checkpoints(self, folder: Path, keep: int) -> Checkpoints:
        return Checkpoints(folder, keep)

    def metrics(self, path: Path, step: int) -> MetricsFile | None:
        return MetricsFile(path, step)
