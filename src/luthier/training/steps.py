"""What runs the passes of training: forward, backward, clipping, the optimiser's step, and the state of all that.

The loop asks for batches and for steps; how many processes share them is the executor's matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.core.example import Example
    from luthier.core.methods import Objective
    from luthier.models.inference.feature_cache import FeatureCache


@dataclass
class Losses:
    """Of one step. total: what was minimised. metrics: sums over the step that an objective wants told, divided."""

    total: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)


class Executor(Protocol):
    """Passes and steps. Parameters are known by their full names in the model."""

    @property
    def masters(self) -> Mapping[str, Tensor]:
        """What is trained, float32."""

    @property
    def trunk(self) -> FeatureCache | None:
        """What the blocks below the lowest trained one gave, where they are run once."""

    def forward_backward(self, examples: Sequence[Example], objective: Objective) -> Losses:
        """Add the gradients of one step."""

    def clip_and_step(self, rate: float, progress: float) -> float | None:
        """Clip, move the parameters, forget the gradients; gives the norm before. Nothing moves if it is not finite.

        None where the step is to be skipped: gradients overflowed and are forgotten, and the next are scaled lower.
        """

    def reading(self) -> AbstractContextManager[None]:
        """The weights are all here, for passes outside training, for the length of a `with` block."""

    def told(self) -> Mapping[str, float]:
        """What a line of metrics says of the steps so far."""

    def breaks(self, examples: Sequence[Example], objective: Objective) -> bool:
        """Whether the loss of these examples by themselves, or its gradient, is not finite."""

    def forget(self) -> None:
        """Drop gradients."""

    def evaluate(self, examples: Sequence[Example], objective: Objective) -> float:
        """Mean loss, without gradients, in nats per weighted item."""

    def states(self, examples: Sequence[Example]) -> Tensor:
        """Hidden states (N, d) at the places that heads read, without gradients; no backbone runs twice for them."""

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and the optimiser's state, for a checkpoint."""

    def load(self, tensors: Mapping[str, Tensor]) -> bool:
        """The inverse of `tensors`; False, and nothing changed, where they are another model's."""

    def weights(self) -> dict[str, Tensor]:
        """What is trained, by name, as a checkpoint has it."""

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Put back what `weights` gave, or a checkpoint of that."""

    def release(self) -> None:
        """Training is over; a model that is not whole here gives way."""
