"""Signatures by which texts that share most of their n-grams are found (Broder 1997).

A signature holds, for each of many hash functions, the smallest hash of the text's n-grams: the share of equal entries
of two signatures estimates the Jaccard similarity of the n-gram sets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.kernels.compiled import compiled
from luthier.corpus.kernels.repeats import grams

NONE = np.uint32(0xFFFFFFFF)  # in all places of a text without n-grams


def functions(count: int, seed: int = 1) -> NDArray[np.uint32]:
    """Odd multipliers (first row) and summands (second) of as many permutations of 32-bit hashes: (2, count).

    Linear ones (Bohman, Cooper & Frieze 2000), of hashes that are mixed already.
    """
    found = np.random.default_rng(seed).integers(0, 2**32, (2, count), np.uint32)
    found[0] |= np.uint32(1)
    return found


@compiled
def signatures(
    words: NDArray[np.uint64], first: NDArray[np.int64], n: int, functions: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """(texts, functions): of a text with fewer than n words, of all its words; NONE without any."""
    times, plus = functions[0], functions[1]
    count = len(times)
    out = np.full((len(first) - 1, count), NONE, np.uint32)
    most = 0
    for text in range(len(out)):
        most = max(most, first[text + 1] - first[text])
    keys = np.empty(max(most, 1), np.uint64)
    for text in range(len(out)):
        size = first[text + 1] - first[text]
        number = grams(words, first[text], first[text + 1], max(min(n, size), 1), keys)
        least = out[text]
        for k in range(number):
            key = np.uint32(keys[k])
            for j in range(count):  # 32 bits wide: 8 or 16 functions in one instruction
                least[j] = min(least[j], np.uint32(key * times[j] + plus[j]))
    return out


@compiled
def bands(signature: NDArray[np.uint32], rows: int) -> NDArray[np.uint64]:
    """(texts, bands): a hash of each run of so many entries; texts with an equal one are candidates."""
    number = signature.shape[1] // rows
    out = np.empty((len(signature), number), np.uint64)
    for text in range(len(signature)):
        for band in range(number):
            value = np.uint64(band + 1)
            for k in range(band * rows, (band + 1) * rows):
                value = (value ^ np.uint64(signature[text, k])) * np.uint64(0x9E3779B97F4A7C15)
                value ^= value >> np.uint64(31)
            out[text, band] = value
    return out
