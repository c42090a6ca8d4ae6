"""Spans that are taken out of a text, drawn at random.

Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", 3.1.4.
"""

from __future__ import annotations

import numpy as np


def spans(size: int, density: float, length: float, most: int, random: np.random.Generator) -> list[tuple[int, int]]:
    """Beginnings and ends of spans within so many tokens, in order, no two of which touch.

    density: the share of tokens in spans. length: of a span, in the mean. most: spans at most. Each text keeps a token
    and loses one; a text of one token loses it. Kept and taken stretches are two random partitions that alternate, a
    kept one first.
    """
    taken = min(max(round(size * density), 1), max(size - 1, 1))
    count = min(max(round(taken / length), 1), taken, max(size - taken, 1), most)
    kept, lost = _parts(size - taken, count, random), _parts(taken, count, random)
    ends = np.cumsum(kept + lost)
    return [(int(end - n), int(end)) for end, n in zip(ends, lost, strict=True)]


def _parts(total: int, count: int, random: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """A total as so many sizes of at least 1, each way alike; of fewer than that, zeros too."""
    if total < count:
        return np.array([total], np.int64)
    cuts = np.sort(random.permutation(total - 1)[: count - 1]) + 1
    return np.diff(np.concatenate([[0], cuts, [total]])).astype(np.int64)
