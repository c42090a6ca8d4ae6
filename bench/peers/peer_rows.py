"""The rows of the stream that all sides of bench/pretrain_vs_litgpt.py train on; NumPy and torch are all it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


def rows_of(work: Path, job: dict[str, Any]) -> Tensor:
    """(rows, length + 1) token ids: the last of a row is the first of the next."""
    ids = np.fromfile(work / "tokens" / "00000.tokens", "<u2").astype(np.int64)
    size = job["length"]
    return torch.stack([torch.from_numpy(ids[at : at + size + 1]) for at in range(0, len(ids) - 1, size)])
