"""How the ranks fare: how much of a step each of them computes, how much it waits, its memory, who holds all up.

Every rank counts the processor's seconds of its steps; what is left of their time it waited for others, or for what
they sent. The numbers travel with the sums of a step, at no cost of their own. A GPU's work is not counted so:
there they say nothing yet.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

from luthier.models.machine import peak_memory

SHOWN = 16  # ranks that are told of one by one
STRAGGLES = 1.25  # times the median of what all compute


class Health:
    """Of the last step, as one rank of `size` knows it. threads: of this process, counted together."""

    def __init__(self, rank: int, size: int, threads: int) -> None:
        self.rank, self.size, self.threads = rank, size, max(threads, 1)
        self._begun = (0.0, 0.0)
        self.told: dict[str, float] = {}

    def begin(self) -> None:
        """A step begins."""
        self._begun = (time.perf_counter(), time.process_time())

    def own(self) -> list[float]:
        """What is added up over ranks when it ends: seconds, seconds computed, bytes, each in the rank's place."""
        wall, busy = time.perf_counter() - self._begun[0], time.process_time() - self._begun[1]
        found = [0.0] * (3 * self.size)
        found[self.rank :: self.size] = [wall, min(busy / self.threads, wall), float(peak_memory())]
        return found

    def put(self, sums: Sequence[float]) -> None:
        """The sums of what all gave."""
        walls, busy, memory = (sums[at * self.size : (at + 1) * self.size] for at in range(3))
        shares = [b / max(w, 1e-9) for w, b in zip(walls, busy, strict=True)]
        self.told = {"waiting": 1 - sum(busy) / max(sum(walls), 1e-9), "memory_of_fullest": max(memory)}
        if (most := max(busy)) > STRAGGLES * median(busy):
            self.told |= {"straggler": float(busy.index(most)), "straggles_by": most / max(median(busy), 1e-9)}
        if self.size <= SHOWN:
            self.told |= {f"rank{at}_busy": share for at, share in enumerate(shares)}
            self.told |= {f"rank{at}_memory": bytes_ for at, bytes_ in enumerate(memory)}
