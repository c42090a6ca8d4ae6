"""Words without marks and case, with their hashes, in one pass: what texts are compared by.

A word is a run of characters that are neither spaces nor marks; a Han or kana character is one. Contractions and
hyphens part words, abbreviations are none: for comparing it is enough that the same text is cut the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.kernels.classes import HAN, MARK, SPACE
from luthier.corpus.kernels.compiled import compiled
from luthier.corpus.kernels.words import SEED, stepped, stir


@compiled
def cut(
    chars: NDArray[np.uint32], bounds: NDArray[np.int64], kinds: NDArray[np.uint8], fold: NDArray[np.uint32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]:
    """Where each word begins and ends, each text's first word, and 64 bits for each word.

    bounds: where each text begins, and the end of the last: (texts + 1). fold: lower case by code point. Gives (words),
    (words), (texts + 1), (words).
    """
    starts, ends = np.empty(len(chars), np.int64), np.empty(len(chars), np.int64)
    hashes = np.empty(len(chars), np.uint64)
    first = np.zeros(len(bounds), np.int64)
    count = 0
    for text in range(len(bounds) - 1):
        at, stop = bounds[text], bounds[text + 1]
        while at < stop:
            kind = kinds[chars[at]]
            if kind & (SPACE | MARK):
                at += 1
                continue
            starts[count] = at
            value = stepped(SEED, fold[chars[at]])
            at += 1
            while not kind & HAN and at < stop and not kinds[chars[at]] & (SPACE | MARK | HAN):
                value = stepped(value, fold[chars[at]])
                at += 1
            ends[count], hashes[count] = at, stir(value + np.uint64(at - starts[count]))
            count += 1
        first[text + 1] = count
    return starts[:count].copy(), ends[:count].copy(), first, hashes[:count].copy()
