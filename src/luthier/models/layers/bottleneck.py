"""Small trained parts around frozen linear layers: bottlenecks behind or beside them, vectors that scale them."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from luthier.models.layers.surgery import matrix_shape


class Bottleneck(nn.Module):
    """W_up GELU(W_down h + b_down) + b_up: d -> m -> d, zero at the start; 2·m·d + m + d numbers."""

    def __init__(self, size: int, width: int, device: torch.device) -> None:
        super().__init__()
        self.down = nn.Linear(size, width, device=device, dtype=torch.float32)
        self.up = nn.Linear(width, size, device=device, dtype=torch.float32)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, h: Tensor) -> Tensor:
        down, down_bias, up, up_bias = (
            p.to(h.dtype) for p in (self.down.weight, self.down.bias, self.up.weight, self.up.bias)
        )
        return F.linear(F.gelu(F.linear(h, down, down_bias)), up, up_bias)


class Around(nn.Module):
    """A frozen linear layer with something around it; models that ask for its weight's type (T5) find it."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base

    @property
    def weight(self) -> Tensor:
        """The frozen layer's."""
        return self.base.weight  # type: ignore[return-value]

    @property
    def bias(self) -> Tensor | None:
        """The frozen layer's."""
        return self.base.bias  # type: ignore[return-value]


class Behind(Around):
    """A frozen layer with a bottleneck behind it: y + adapter(y)."""

    def __init__(self, base: nn.Module, adapter: Bottleneck) -> None:
        super().__init__(base)
        self.adapter = adapter

    def forward(self, x: Tensor) -> Tensor:
        y = self.base(x)
        return cast(Tensor, y + self.adapter(y))


class Tap(Around):
    """A frozen layer that remembers its input, for the `Beside` further on."""

    seen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        return cast(Tensor, self.base(x))


class Beside(Around):
    """The last layer of a sub-layer, with a bottleneck that works on the sub-layer's own input: y + adapter(x)."""

    def __init__(self, base: nn.Module, adapter: Bottleneck, tap: Tap) -> None:
        super().__init__(base)
        self.adapter = adapter
        self._tap = (tap,)  # in a tuple, so that it is not a child here, too

    def forward(self, inner: Tensor) -> Tensor:
        (tap,) = self._tap
        assert tap.seen is not None
        x, tap.seen = tap.seen, None
        return cast(Tensor, self.base(inner) + self.adapter(x))


class Scaled(Around):
    """A frozen linear layer with a learned vector (size,), ones at the start."""

    def __init__(self, base: nn.Module, size: int) -> None:
        super().__init__(base)
        self.scale = nn.Parameter(torch.ones(size, device=self.weight.device, dtype=torch.float32))


class ScaledOutput(Scaled):
    """Its last `size` outputs are scaled."""

    def whole(self) -> Tensor:
        """One factor an output, (out,): what comes before the scaled ones keeps its value."""
        return F.pad(self.scale, (matrix_shape(self.base)[0] - len(self.scale), 0), value=1.0)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.base(x)
        return y * self.whole().to(y.dtype)


class ScaledInput(Scaled):
    """Its inputs are scaled."""

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.base(x * self.scale.to(x.dtype)))
