"""What moves the weights, a file each: `make(groups, hidden, rate, epsilon, parts)` gives an optimiser of torch's kind.

groups: dictionaries with `params` (float32), `scale` of the learning rate and `weight_decay`. hidden: ids of those that
are matrices between the embedding and the vocabulary head, which some optimisers treat by themselves. An optimiser has
`param_groups` with the same keys, `state` by parameter (tensors alone, for checkpoints), `step` and `zero_grad`.
parts: how one that looks at whole parameters gets them where several processes have a part each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Parts(Protocol):
    """What several processes have of parameters, and one process wholly."""

    def gathered(self, p: Tensor, part: Tensor) -> Tensor:
        """All of what is of the shape of a parameter `p`, from the parts of all."""

    def parted(self, p: Tensor, whole: Tensor) -> Tensor:
        """The part of this process."""
