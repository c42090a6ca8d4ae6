"""Scaling of the loss, so that small gradients are not rounded to zero in float16.

The loss is multiplied by a scale before the backward pass, and the gradients, collected in float32, are divided by it.
Gradients that overflow move nothing: the step is skipped and the scale halved. After 2,000 good steps in a row it is
doubled. bfloat16 has float32's range and needs none of it. Source: Micikevicius et al. 2018, "Mixed Precision
Training"; numbers and order as in `torch.amp.GradScaler`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from luthier.core.errors import Diverged
from luthier.core.phrases import say

START, LEAST, AFTER = 2.0**16, 1.0, 2000  # scales; good steps before the scale is doubled
NAME = "scaling"  # in a checkpoint


class Plain:
    """No scaling: float32 and bfloat16."""

    factor = 1.0

    def overflowed(self, masters: Iterable[Tensor], everywhere: Callable[[bool], bool]) -> bool:
        """Divide the gradients by the scale; whether they overflowed, and the step is to be skipped.

        everywhere: whether what is true of these is true of all, where others hold more.
        """
        return False

    def told(self) -> dict[str, float]:
        """What a line of metrics says."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`."""


class Dynamic(Plain):
    """A scale that follows the gradients. good: steps since it was changed. skipped: steps in all."""

    def __init__(self) -> None:
        self.factor, self.good, self.skipped = START, 0, 0

    @torch.no_grad()
    def overflowed(self, masters: Iterable[Tensor], everywhere: Callable[[bool], bool]) -> bool:
        """Divide the gradients by the scale, and set the next one. Raises Diverged below the least scale."""
        grads = [p.grad for p in masters if p.grad is not None]
        for grad in grads:
            grad.mul_(1.0 / self.factor)
        if everywhere(all(bool(torch.isfinite(grad).all()) for grad in grads)):
            self.good += 1
            if self.good == AFTER:
                self.factor, self.good = 2 * self.factor, 0
            return False
        self.factor, self.good, self.skipped = self.factor / 2, 0, self.skipped + 1
        if self.factor < LEAST:
            raise Diverged(say("said_diverged_scale", skipped=self.skipped, least=f"{LEAST:g}"))
        return True

    def told(self) -> dict[str, float]:
        return {"scale": self.factor, "skipped": self.skipped}

    def tensors(self) -> dict[str, Tensor]:
        return {NAME: torch.tensor([self.factor, self.good, self.skipped], dtype=torch.float64)}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        if NAME in tensors:  # not in a checkpoint of an earlier version
            self.factor, good, skipped = tensors[NAME].tolist()
            self.good, self.skipped = int(good), int(skipped)


def scaling_of(model: nn.Module) -> Plain:
    """What the model's number format needs, or that which some of its products are taken in (4-bit layers)."""
    kinds = {p.dtype for p in model.parameters()} | {getattr(module, "compute", None) for module in model.modules()}
    return Dynamic() if torch.float16 in kinds else Plain()
