"""Passages of test rows in other texts, found by the runs of words that both have.

A row is sought by every 13 of its words that stand in a row (Brown et al. 2020, appendix C), one of 8 to 12 words as a
whole; what is shorter says too little. Words are compared without case and marks; a Han or kana character is one. What
many rows share is wording, such as an instruction, and is not sought. NumPy alone: comparing methods asks here, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.kernels.classes import HAN, MARK, SPACE, classes, folded

N, LEAST = 13, 8
WORDING, MOST = 0.1, 1000  # of rows that share a run of words: from there on, and from so many on, it is wording
BITS = 22  # of a first look at a run's hash: nearly all that are sought nowhere end there
_TURN, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


class Sought(NamedTuple):
    """A text of a test set. row: its place there, as people are told it."""

    row: str
    text: str


@dataclass(frozen=True)
class Passage:
    """What a text has in common with a test row. text: which one; start, end: characters of it; sought: the row's."""

    text: int
    start: int
    end: int
    sought: int


class Held:
    """The runs of words of some test rows."""

    def __init__(self, rows: Sequence[Sought], n: int = N, least: int = LEAST) -> None:
        """n: words of a run. least: words of a row that is sought as a whole."""
        self.rows = tuple(rows)
        words = _Words([row.text for row in rows])
        sizes = words.counts
        self.short = int((sizes < min(least, n)).sum())
        texts = {row.text: at for at, row in reversed(list(enumerate(rows)))}
        self._same = np.array([texts[row.text] for row in rows], np.int64)  # the first row with the same text
        self.runs: dict[int, tuple[NDArray[np.uint64], NDArray[np.int64]]] = {}
        self._seen = np.zeros(1 << BITS, np.bool_)
        for size in sorted(set(np.minimum(sizes, n).tolist())):
            if size < min(least, n):
                continue
            keys, first = words.runs(size)
            owners = words.owners[first]
            own = sizes[owners] >= n if size == n else sizes[owners] == size
            self.runs[size] = found = self._rare(keys[own], owners[own])
            self._seen[found[0] >> np.uint64(64 - BITS)] = True

    def _rare(
        self, keys: NDArray[np.uint64], owners: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Runs that are no wording, sorted, with the first row of each."""
        owners = self._same[owners]
        pairs = np.unique(np.stack([keys, owners.astype(np.uint64)], 1), axis=0)
        found, first, counts = np.unique(pairs[:, 0], return_index=True, return_counts=True)
        rare = counts <= min(max(5, int(WORDING * len(self.rows))), MOST)
        return found[rare], pairs[first[rare], 1].astype(np.int64)

    @property
    def empty(self) -> bool:
        """Whether nothing can be sought."""
        return not any(len(keys) for keys, _ in self.runs.values())

    def find(self, texts: Sequence[str]) -> Iterator[Passage]:
        """What these texts have in common with the rows, in their order; neighbouring runs of a row are one passage."""
        words = _Words(texts)
        of = np.full(len(words.starts), -1, np.int64)  # the row that a word stands in
        for size, (keys, owners) in self.runs.items():
            found, first = words.runs(size)
            near = self._seen[found >> np.uint64(64 - BITS)] if len(keys) else np.zeros(len(found), np.bool_)
            found, first = found[near], first[near]
            places = np.searchsorted(keys, found).clip(max=max(len(keys) - 1, 0))
            hit = keys[places] == found if len(keys) else np.zeros(0, np.bool_)
            for at, row in zip(first[hit].tolist(), owners[places[hit]].tolist(), strict=True):
                part = of[at : at + size]
                part[part < 0] = row
        known = np.flatnonzero(of >= 0)
        gaps = (np.diff(known) > 1) | (np.diff(words.owners[known]) > 0) | (np.diff(of[known]) != 0)
        for run in np.split(known, np.flatnonzero(gaps) + 1) if len(known) else []:
            text = int(words.owners[run[0]])
            begin = int(words.bounds[text])
            yield Passage(text, int(words.starts[run[0]]) - begin, int(words.ends[run[-1]]) - begin, int(of[run[0]]))


class _Words:
    """Words of texts. starts, ends: places in all characters; owners: the text of each; bounds: where texts begin."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.bounds = np.cumsum([0, *(len(text) + 1 for text in texts)])
        chars = np.frombuffer("\n".join([*texts, ""]).encode("utf-32-le", "surrogatepass"), np.uint32)
        kinds = classes()[chars]
        inside = (kinds & (SPACE | MARK)) == 0
        alone = (kinds & HAN) != 0
        before, joined = np.r_[False, inside[:-1]], np.r_[False, ~alone[:-1]] & ~alone
        begins = inside & ~(before & joined)
        self.starts = np.flatnonzero(begins)
        self.ends = np.flatnonzero(before & (begins | ~inside))
        self.owners = np.searchsorted(self.bounds, self.starts, "right") - 1
        self.counts = np.bincount(self.owners, minlength=len(texts))[: len(texts)]
        place = np.arange(len(chars)) - np.r_[self.starts, 0][np.cumsum(begins) - 1] if len(self.starts) else chars
        hashed = _stirred((place.astype(np.uint64) << np.uint64(32)) | folded()[chars])
        hashed[~inside] = 0
        self.hashes = np.add.reduceat(hashed, self.starts) if len(self.starts) else np.zeros(0, np.uint64)

    def runs(self, size: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """A hash of every so many words of one text in a row, and the first word of each."""
        number = len(self.hashes) - size + 1
        if number <= 0:
            return np.zeros(0, np.uint64), np.zeros(0, np.int64)
        found = np.full(number, size, np.uint64)
        for at in range(size):
            found = found * _TURN + self.hashes[at : at + number]
        one = np.flatnonzero(self.owners[:number] == self.owners[size - 1 :])
        return _stirred(found[one]), one


def _stirred(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit hangs on every bit (the middle of SplitMix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * _MIX
    return values ^ (values >> np.uint64(31))
