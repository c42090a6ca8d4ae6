"""Long passages that stand in the corpus before are cut wherever they come again, in the same text or in another one.

What a suffix array finds (Lee et al. 2022, "Deduplicating Training Data Makes Language Models Better"): every word that
lies in a run of at least `words` words which stands somewhere before. A run of that length comes again exactly where
each of its windows of `words` words does, so that hashes of windows in files are enough: 17 bytes a word on disk, more
than the text itself; in memory a sixty-fourth of them at a time. Words are compared without case and marks; a Han
character is a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from luthier.corpus.arrays import Arrays, Computed
from luthier.corpus.kernels.pieces import sum_within
from luthier.corpus.kernels.repeats import windows
from luthier.corpus.outcome import Outcome, shortened
from luthier.corpus.stage import Known, Looking
from luthier.corpus.texts import Ranges, Texts, batches, inside

if TYPE_CHECKING:
    import pyarrow as pa

PARTS = 64  # by the first bits of a hash: what is in memory together
BEGINS = np.arange(PARTS, dtype=np.uint64) << np.uint64(58)
SHARD = 40  # bits of a place that are a word's in its shard; those above are the shard's
Keys = NDArray[np.uint64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Substrings(Looking):
    """words: of a passage that is cut, at least."""

    name: ClassVar[str] = "substrings"

    words: Annotated[int, Ge(5), Le(512)] = 50

    def _windows(self, table: pa.Table) -> Iterator[tuple[Texts, Keys, Places, int]]:
        """Of each batch: its texts, windows with their first words, and the words of the shard before it."""
        before = 0
        for batch in batches(table["text"]):
            texts = Texts(batch)
            words, hashes = texts.bare
            keys, places = windows(hashes, words.first, self.words)
            yield texts, keys, places, before
            before += len(hashes)

    def look(self, table: pa.Table) -> Arrays:
        """Windows of a shard, each once and sorted; where it stands first, and whether it comes again in the shard."""
        keys, places = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
        for _, found, at, before in self._windows(table):
            keys.append(found)
            places.append(at + before)
        key, first, counts = np.unique(np.concatenate(keys), return_index=True, return_counts=True)
        place = np.concatenate(places)[first]
        bounds = [*np.searchsorted(key, BEGINS).tolist(), len(key)]
        return {
            f"{name}{part}": values[bounds[part] : bounds[part + 1]]
            for name, values in (("keys", key), ("places", place), ("again", counts > 1))
            for part in range(PARTS)
        }

    def gather(self, looked: Sequence[Arrays]) -> Arrays:
        """By part: windows that the corpus has more than once, sorted, and where each stands first."""
        return Computed(map(str, range(PARTS)), lambda part: _repeated(looked, int(part)))

    def apply(self, table: pa.Table, known: Known) -> Outcome:
        import pyarrow as pa

        after = []
        for texts, keys, places, before in self._windows(table):
            later = places[_stands_before(keys, places + before + (known.shard << SHARD), known.gathered)]
            words = texts.bare[0]
            gone = inside(len(words.starts), later, later + self.words)
            after.append(_without(texts, words, gone) if len(later) else texts.column)
        return shortened(table, pa.chunked_array(after, pa.large_string()), "repeated_passage")


def _stands_before(keys: Keys, own: Places, gathered: Arrays) -> NDArray[np.bool_]:
    """Which windows stand somewhere before their own place."""
    out = np.zeros(len(keys), np.bool_)
    order = np.argsort(keys)
    bounds = [*np.searchsorted(keys, BEGINS, sorter=order).tolist(), len(keys)]
    for part in range(PARTS):
        these = order[bounds[part] : bounds[part + 1]]
        repeated, first = gathered[str(part)]
        if len(these) and len(repeated):
            at = np.minimum(np.searchsorted(repeated, keys[these]), len(repeated) - 1)
            out[these] = (repeated[at] == keys[these]) & (first[at] != own[these].astype(np.uint64))
    return out


def _without(texts: Texts, words: Ranges, gone: NDArray[np.bool_]) -> pa.Array:
    """The texts without some words; of one that loses all of them no mark is left."""
    import pyarrow as pa
    import pyarrow.compute as pc

    left = sum_within((~gone).astype(np.int64), words.first)
    return pc.if_else(pa.array((words.counts > 0) & (left == 0)), "", texts.without(words, gone))


def _repeated(looked: Sequence[Arrays], part: int) -> NDArray[np.uint64]:
    """Of one part of all windows those that come again, and where each stands first: (2, windows)."""
    keys = np.concatenate([f[f"keys{part}"] for f in looked])
    places = np.concatenate([f[f"places{part}"] + (shard << SHARD) for shard, f in enumerate(looked)])
    again = np.concatenate([f[f"again{part}"] for f in looked])
    order = np.argsort(keys, kind="stable")  # of equal ones the first shard's is first
    keys, places, again = keys[order], places[order], again[order]
    key, first, counts = np.unique(keys, return_index=True, return_counts=True)
    several = (counts > 1) | (np.add.reduceat(again, first, dtype=np.int64) > 0 if len(first) else np.empty(0, bool))
    return np.stack([key[several], places[first][several].astype(np.uint64)])


STAGE = Substrings
