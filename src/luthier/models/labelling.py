"""Linear heads on standardised hidden states: one label of several, several labels at once, or a number."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEADS_AT = ("label_head.", "more_heads.")  # where heads of their own stand in a model: no weights of the base


class LabelHead(nn.Module):
    """(N, d) hidden states -> (N, K) logits. weight (K, d), bias (K,) train from zero; mean, scale (d,) do not."""

    kind: ClassVar[str] = "labels"
    answers: ClassVar[bool] = True  # False: only training reads it
    mean: Tensor
    scale: Tensor

    def __init__(self, size: int, labels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(labels, size))
        self.bias = nn.Parameter(torch.zeros(labels))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    @torch.no_grad()
    def scale_to(self, hidden: Tensor) -> None:
        """Standardise by these hidden states (N, d); a single row leaves the scale alone."""
        self.mean.copy_(hidden.float().mean(0))
        if len(hidden) > 1:
            spread = hidden.float().std(0)
            self.scale.copy_(torch.where(spread > 0, spread, torch.ones_like(spread)))

    def forward(self, hidden: Tensor) -> Tensor:
        return F.linear((hidden.float() - self.mean) / self.scale, self.weight, self.bias)

    @staticmethod
    def reading(logits: Tensor, columns: list[int]) -> Tensor:
        """Log-probabilities (N, k) of the chosen columns, normalised over them."""
        return logits[:, columns].log_softmax(-1)

    def read(self, logits: Tensor, columns: list[int]) -> Tensor:
        """What `predict` gives for these logits (N, K)."""
        return self.reading(logits, columns)


class TagHead(LabelHead):
    """Each label by itself: a text may have several, or none."""

    kind: ClassVar[str] = "tags"

    @staticmethod
    def reading(logits: Tensor, columns: list[int]) -> Tensor:
        """Log-probability (N, k) of each chosen column by itself."""
        return F.logsigmoid(logits[:, columns])


class ScalarHead(LabelHead):
    """A number, learned in standard units; centre and spread, (1,), lead back to the data's own and are saved with it.

    They are the mean and the standard deviation of the training values.
    """

    kind: ClassVar[str] = "scalar"
    centre: Tensor
    spread: Tensor

    def __init__(self, size: int, labels: int = 1) -> None:
        super().__init__(size, 1)
        self.register_buffer("centre", torch.zeros(1, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(1, dtype=torch.float64))

    def read(self, logits: Tensor, columns: list[int]) -> Tensor:
        """The number (N, 1) in the data's own unit."""
        return logits.double() * self.spread.to(logits.device) + self.centre.to(logits.device)


class RewardHead(ScalarHead):
    """How good an answer is: a number for a conversation that ends with it, and for nothing else."""

    kind: ClassVar[str] = "reward"


class ValueHead(LabelHead):
    """How good what stands so far is: a number at every place that is read, for training only."""

    kind: ClassVar[str] = "value"
    answers: ClassVar[bool] = False

    def __init__(self, size: int, labels: int = 1) -> None:
        super().__init__(size, 1)

    @torch.no_grad()
    def begin_as(self, other: ScalarHead) -> None:
        """Give the numbers that another head gives for the same states, in its data's own unit."""
        spread, centre = other.spread.to(self.bias), other.centre.to(self.bias)
        self.mean.copy_(other.mean)
        self.scale.copy_(other.scale)
        self.weight.copy_(other.weight * spread)
        self.bias.copy_(other.bias * spread + centre)


def number_head(lm: Any) -> ScalarHead:
    """The head of a model that was made ready to give numbers."""
    assert isinstance(lm.label_head, ScalarHead)
    return lm.label_head


HEADS: dict[str, type[LabelHead]] = {cls.kind: cls for cls in (LabelHead, TagHead, ScalarHead, RewardHead, ValueHead)}
