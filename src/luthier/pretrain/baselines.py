"""What a byte of held-out text costs without a model of ours, given the same training text: what any model has to beat.

`byte_5gram`: interpolated Kneser–Ney over bytes (Chen and Goodman 1999; one discount an order, n1 / (n1 + 2·n2)),
fitted on the training text. `xz`: what `xz -9` adds for the held-out text behind the training text.
"""

from __future__ import annotations

import lzma
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ORDER = 5
Keys = NDArray[np.uint64]


def xz(train: bytes, held: bytes) -> float:
    """Bits a byte: 8·(|xz(train + held)| - |xz(train)|) / |held|."""
    size = lambda data: len(lzma.compress(data, preset=9))  # noqa: E731
    return 8 * (size(train + held) - size(train)) / max(len(held), 1)


def byte_5gram(train: bytes, held: bytes) -> float:
    """Bits a byte of the held-out text under a 5-gram of bytes."""
    return float(bits(train, held).mean()) if held else math.nan


def bits(train: bytes, held: bytes) -> NDArray[np.float64]:
    """Of each byte of the held-out text under a 5-gram of bytes; its first four bytes are told by shorter ones."""
    text = np.frombuffer(held, np.uint8)
    probability = np.full(len(text), 1 / 256)
    for level in _levels(np.frombuffer(train, np.uint8)):
        places = np.arange(level.order - 1, len(text))
        probability[places] = level.given(_grams(text, level.order), probability[places])
    found: NDArray[np.float64] = -np.log2(probability)
    return found


@dataclass(frozen=True)
class _Level:
    """Counts of one order. grams, counts: what was seen and how often; contexts: beginnings, what follows them in all
    (`totals`) and how many different bytes that are (`kinds`)."""

    order: int
    grams: Keys
    counts: NDArray[np.int64]
    contexts: Keys
    totals: NDArray[np.int64]
    kinds: NDArray[np.int64]

    def given(self, grams: Keys, lower: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of each gram its last byte's probability after the others. lower: that of the order below."""
        count = _looked_up(self.grams, self.counts, grams)
        context = grams >> np.uint64(8)
        total, kinds = (_looked_up(self.contexts, values, context) for values in (self.totals, self.kinds))
        once, twice = (int((self.counts == n).sum()) for n in (1, 2))
        discount = once / (once + 2 * twice) if once else 0.5
        found = np.maximum(count - discount, 0) + discount * kinds * lower
        return np.where(total > 0, found / np.maximum(total, 1), lower)


def _levels(text: NDArray[np.uint8]) -> list[_Level]:
    """From single bytes on. Below the highest order a gram counts by how many bytes it was seen behind."""
    found: list[_Level] = []
    longer: Keys | None = None
    for order in range(ORDER, 0, -1):
        if longer is None:
            grams, counts = np.unique(_grams(text, order), return_counts=True)
        else:
            grams, counts = np.unique(longer & np.uint64((1 << 8 * order) - 1), return_counts=True)
        contexts, first = np.unique(grams >> np.uint64(8), return_index=True)
        totals = np.add.reduceat(counts, first) if len(first) else counts
        kinds = np.diff(first, append=len(grams))
        found.append(_Level(order, grams, counts.astype(np.int64), contexts, totals, kinds))
        longer = grams
    return found[::-1]


def _grams(text: NDArray[np.uint8], order: int) -> Keys:
    """Each run of so many bytes as a number, (bytes - order + 1)."""
    size = max(len(text) - order + 1, 0)
    out = np.zeros(size, np.uint64)
    for at in range(order):
        out = (out << np.uint64(8)) | text[at : at + size].astype(np.uint64)
    return out


def _looked_up(keys: Keys, values: NDArray[np.int64], wanted: Keys) -> NDArray[np.int64]:
    """The value of each wanted key, 0 where it is not known."""
    if not len(keys):
        return np.zeros(len(wanted), np.int64)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)
