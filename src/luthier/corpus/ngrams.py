"""How likely words are in an order, by counts of a reference text: perplexity without a neural network.

Three words at a time, interpolated Kneser-Ney smoothing with one discount (Kneser and Ney 1995; Chen and Goodman 1999,
section 3): p(w | u v) takes D off each count and gives it to p(w | v), whose counts are in how many places a pair
begins anew. Words that the reference has once count as one unknown word, without which rare words decide everything.
A Han character is a word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from luthier.core.errors import LuthierError
from luthier.corpus.arrays import Stored, write_arrays
from luthier.corpus.kernels.repeats import joined
from luthier.corpus.texts import Texts, batches, ratio

if TYPE_CHECKING:
    import pyarrow as pa

UNKNOWN, BEGIN = np.uint64(1), np.uint64(2)
DISCOUNT = 0.75
Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class Counted:
    """Sorted keys with numbers."""

    keys: Keys
    counts: NDArray[np.int64]

    @staticmethod
    def of(keys: Keys) -> Counted:
        """How often each key is there."""
        return Counted(*np.unique(keys, return_counts=True))

    def get(self, wanted: Keys) -> NDArray[np.float64]:
        """The number of each, 0 where it is not there."""
        if not len(self.keys):
            return np.zeros(len(wanted))
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[at] == wanted, self.counts[at], 0).astype(np.float64)


@dataclass(frozen=True)
class NGrams:
    """Counts of a reference. pairs, triples: of how many places (pairs) and how often (triples); beside each the totals
    and kinds of what follows a beginning."""

    words: Counted
    pairs: Counted
    triples: Counted
    after_one: Counted
    kinds_after_one: Counted
    after_two: Counted
    kinds_after_two: Counted

    @staticmethod
    def of(columns: Iterable[pa.ChunkedArray]) -> NGrams:
        """Count the texts of some columns, which are in memory by their hashes (8 bytes a word). Raises LuthierError
        where there are none."""
        hashes, sizes = [], []
        for column in columns:
            for batch in batches(column):
                texts = Texts(batch)
                hashes.append(texts.plain_hashes)
                sizes.append(texts.plain_words.counts)
        words = np.concatenate(hashes) if hashes else np.empty(0, np.uint64)
        if len(words) < 2:
            raise LuthierError("a reference text with fewer than two words tells nothing")
        known = Counted.of(words)
        vocabulary = known.keys[known.counts > 1]
        one, two, three = _placed(_mapped(words, vocabulary), np.concatenate(sizes))
        triple = joined(joined(one, two), three)
        _, first = np.unique(triple, return_index=True)
        before, pair, last = joined(one, two)[first], joined(two, three)[first], three[first]
        pairs = Counted.of(pair)  # in how many places a pair begins anew: behind how many words
        _, at = np.unique(pair, return_index=True)
        return NGrams(
            words=Counted.of(last[at]), pairs=pairs, triples=Counted.of(triple),
            after_one=_summed(two[first][at], pairs.counts), kinds_after_one=Counted.of(two[first][at]),
            after_two=Counted.of(joined(one, two)), kinds_after_two=Counted.of(before),
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """Write it as NumPy arrays."""
        write_arrays(path, {f"{name}.{part}": getattr(value, part) for name, value in self.__dict__.items()
                            for part in ("keys", "counts")})  # fmt: skip

    @staticmethod
    def load(path: Path) -> NGrams:
        """Read what `save` wrote. Raises LuthierError where it is damaged."""
        found = Stored(path)
        names = {name.split(".")[0] for name in found}
        return NGrams(**{name: Counted(found[f"{name}.keys"], found[f"{name}.counts"]) for name in names})

    def surprise(self, texts: Texts) -> NDArray[np.float64]:
        """Nats a word of each text, on average; its exponential is the perplexity. 0 for a text without words."""
        words = texts.plain_words
        one, two, three = _placed(_mapped(texts.plain_hashes, self.words.keys), words.counts)
        nats = -np.log(self.likelihood(one, two, three))
        owners = np.repeat(np.arange(len(texts)), words.counts)
        return ratio(np.bincount(owners, nats, len(texts)), words.counts)

    def likelihood(self, one: Keys, two: Keys, three: Keys) -> NDArray[np.float64]:
        """p(three | one two)."""
        size = len(self.words.keys)
        total = float(self.words.counts.sum())
        alone = np.maximum(self.words.get(three) - DISCOUNT, 0) / total + DISCOUNT * size / total / (size + 1)
        after, kinds = self.after_one.get(two), self.kinds_after_one.get(two)
        pair = ratio(np.maximum(self.pairs.get(joined(two, three)) - DISCOUNT, 0), after)
        pair += np.where(after > 0, ratio(DISCOUNT * kinds, after), 1.0) * alone
        before = joined(one, two)
        after, kinds = self.after_two.get(before), self.kinds_after_two.get(before)
        triple = ratio(np.maximum(self.triples.get(joined(before, three)) - DISCOUNT, 0), after)
        found: NDArray[np.float64] = triple + np.where(after > 0, ratio(DISCOUNT * kinds, after), 1.0) * pair
        return found


def _mapped(words: Keys, known: Keys) -> Keys:
    """Words that are not known as the unknown one."""
    if not len(known):
        return np.full(len(words), UNKNOWN)
    at = np.minimum(np.searchsorted(known, words), len(known) - 1)
    return np.where(known[at] == words, words, UNKNOWN)


def _placed(words: Keys, sizes: NDArray[np.int64]) -> tuple[Keys, Keys, Keys]:
    """Each word with the two before it in its text; before its first stands what marks a beginning."""
    place = np.arange(len(words)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    two = np.where(place >= 1, np.roll(words, 1), BEGIN)
    one = np.where(place >= 2, np.roll(words, 2), BEGIN)
    return one, two, words


def _summed(keys: Keys, counts: NDArray[np.int64]) -> Counted:
    """The sum of the counts of each key."""
    found, places = np.unique(keys, return_inverse=True)
    return Counted(found, np.bincount(places, counts, len(found)).astype(np.int64))
