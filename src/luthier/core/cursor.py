"""A place in an endless stream of rows, kept for exact resume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class Cursor:
    """A place in an endless stream of epochs: the same (seed, epoch) always gives the same order."""

    def __init__(self, seed: int, epoch: int = 0, at: int = 0) -> None:
        self.seed, self.epoch, self.at = seed, epoch, at

    @property
    def place(self) -> tuple[int, int]:
        """Epoch, and rows of it that have been given."""
        return self.epoch, self.at

    def permutation(self, n: int) -> np.ndarray[Any, Any]:
        """The order of `n` rows in the current epoch."""
        import numpy as np

        return np.random.default_rng([self.seed, self.epoch]).permutation(n)

    def next_epoch(self) -> None:
        """Go to the start of the next epoch."""
        self.epoch, self.at = self.epoch + 1, 0
