"""What torchrun tells each process that it starts: RANK, WORLD_SIZE, LOCAL_WORLD_SIZE."""

from __future__ import annotations

import os


def started() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def leads() -> bool:
    """Whether this process, alone or not, is the one that tells."""
    return not started() or os.environ["RANK"] == "0"


def beside() -> int:
    """How many processes torchrun started on this machine, this one included."""
    return max(int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1)
