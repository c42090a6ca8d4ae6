"""What is counted of words and lines for rules on documents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.kernels.classes import MARK
from luthier.corpus.kernels.compiled import compiled
from luthier.corpus.kernels.words import within


@compiled
def meaningful(
    chars: NDArray[np.uint32], kinds: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], bit: int
) -> NDArray[np.bool_]:
    """Of each word whether some character of it is of a kind (LETTER), or, for MARK, of no such kind."""
    out = np.zeros(len(starts), np.bool_)
    wanted = bit != MARK
    for word in range(len(starts)):
        for at in range(starts[word], ends[word]):
            if ((kinds[chars[at]] & bit) != 0) == wanted:
                out[word] = True
                break
    return out


@compiled
def different(keys: NDArray[np.uint64], first: NDArray[np.int64], wanted: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many different ones of the wanted words (sorted) each text has."""
    out = np.zeros(len(first) - 1, np.int64)
    seen = np.full(len(wanted), -1, np.int64)
    for text in range(len(out)):
        for word in range(first[text], first[text + 1]):
            if within(wanted, keys[word]):
                at = np.searchsorted(wanted, keys[word])
                if seen[at] != text:
                    seen[at] = text
                    out[text] += 1
    return out


@compiled
def occurrences(
    chars: NDArray[np.uint32], starts: NDArray[np.int64], ends: NDArray[np.int64], sought: NDArray[np.uint32]
) -> NDArray[np.int64]:
    """How often some characters stand in each range, one after another without overlap, as `str.count` counts."""
    out = np.zeros(len(starts), np.int64)
    size = len(sought)
    for k in range(len(starts)):
        at = starts[k]
        while at + size <= ends[k]:
            same = 0
            while same < size and chars[at + same] == sought[same]:
                same += 1
            if same == size:
                out[k] += 1
                at += size
            else:
                at += 1
    return out


@compiled
def trails_off(chars: NDArray[np.uint32], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each range ends with three full stops or with an ellipsis."""
    out = np.zeros(len(starts), np.bool_)
    for k in range(len(starts)):
        end = ends[k]
        dots = end - starts[k] >= 3 and chars[end - 1] == 46 and chars[end - 2] == 46 and chars[end - 3] == 46
        out[k] = dots or (end > starts[k] and chars[end - 1] == 0x2026)
    return out


@compiled
def of_kind(
    chars: NDArray[np.uint32], kinds: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], bit: int
) -> NDArray[np.int64]:
    """How many characters of a kind each range has."""
    out = np.zeros(len(starts), np.int64)
    for k in range(len(starts)):
        for at in range(starts[k], ends[k]):
            out[k] += (kinds[chars[at]] & bit) != 0
    return out


@compiled
def longest_without_space(
    chars: NDArray[np.uint32], kinds: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], bit: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each range, how many runs without a character of a kind (SPACE) it has, and how long the longest is."""
    count, most = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.int64)
    for k in range(len(starts)):
        run = 0
        for at in range(starts[k], ends[k]):
            if kinds[chars[at]] & bit:
                run = 0
                continue
            run += 1
            count[k] += run == 1
            most[k] = max(most[k], run)
    return count, most
