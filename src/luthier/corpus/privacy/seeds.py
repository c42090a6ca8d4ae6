"""Where private data could stand: a look at every character of a batch, so that expressions see few of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.kernels.classes import DIGIT
from luthier.corpus.privacy import AT, COLONS, DIGITS, DOTS
from luthier.corpus.texts import Texts

Places = NDArray[np.int64]


def places(texts: Texts, words: Sequence[str]) -> Mapping[str, Places]:
    """Where each seed stands, as places in all characters of the batch, in their order."""
    chars = texts.chars
    out = {
        DIGITS: _close(np.flatnonzero(texts.kinds[chars] & DIGIT), 5, 9),
        DOTS: _close(np.flatnonzero(chars == ord(".")), 3, 9),
        COLONS: _close(np.flatnonzero(chars == ord(":")), 2, 6),
        AT: np.flatnonzero(chars == ord("@")),
    }
    starts, ends = texts.matches(tuple(words)) if words else (np.zeros(0, np.int64),) * 2
    lengths = ends - starts
    for word in words:
        mine = starts[lengths == len(word)]
        for offset, char in enumerate(word):
            mine = mine[texts.folded[mine + offset] == ord(char)]
        out[word] = mine
    return out


def _close(found: Places, count: int, within: int) -> Places:
    """The first of every so many that stand within so many characters."""
    first = found[: max(len(found) - count + 1, 0)]
    return first[found[count - 1 :] - first <= within]


def windows(hits: Sequence[int], before: int, after: int) -> Iterator[tuple[int, int]]:
    """Stretches of a text around its hits, in their order and apart."""
    begin = end = -1
    for hit in hits:
        if hit - before > end:
            if end >= 0:
                yield begin, end
            begin = max(hit - before, 0)
        end = hit + after
    if end >= 0:
        yield begin, end
