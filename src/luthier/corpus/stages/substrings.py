"""Long passages that stand in the corpus before are cut wherever they come again, in the same text or in another one.

What a suffix array finds (Lee et al. 2022, "Deduplicating Training Data Makes Language Models Better"): every word that
lies in a run of at least `words` words which stands somewhere before. A run of that length comes again exactly where
each of its windows of `words` words does, so that hashes of windows in files are enough: 16 bytes a word on disk while
it is looked at, a sixty-fourth of that in memory, and of what comes again 16 bytes a window. Words are compared without
case and marks; a Han character is a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from luthier.corpus.arrays import Arrays
from luthier.corpus.kernels.repeats import windows
from luthier.corpus.outcome import Outcome, shortened
from luthier.corpus.stage import Known, Looking
from luthier.corpus.texts import Texts, batches

if TYPE_CHECKING:
    import pyarrow as pa

PARTS = 64  # by the first bits of a hash: what is in memory together
SHARD = 40  # bits of a place that are a word's in its shard; those above are the shard's
Keys = NDArray[np.uint64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Substrings(Looking):
    """words: of a passage that is cut, at least."""

    name: ClassVar[str] = "substrings"

    words: Annotated[int, Ge(5)] = 50

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
        bounds = [*np.searchsorted(key, np.arange(PARTS, dtype=np.uint64) << np.uint64(58)).tolist(), len(key)]
        return {
            f"{name}{part}": values[bounds[part] : bounds[part + 1]]
            for name, values in (("keys", key), ("places", place), ("again", counts > 1))
            for part in range(PARTS)
        }

    def gather(self, looked: Sequence[Arrays]) -> Arrays:
        """Windows that the corpus has more than once, sorted, and where each stands first."""
        parts = [_repeated(looked, part) for part in range(PARTS)]
        return {
            "keys": np.concatenate([keys for keys, _ in parts]),
            "places": np.concatenate([places for _, places in parts]),
        }

    def apply(self, table: pa.Table, known: Known) -> Outcome:
        import pyarrow as pa

        repeated, first = known.gathered["keys"], known.gathered["places"]
        after = []
        for texts, keys, places, before in self._windows(table):
            at = np.minimum(np.searchsorted(repeated, keys), max(len(repeated) - 1, 0))
            own = places + before + (known.shard << SHARD)
            later = places[(repeated[at] == keys) & (first[at] != own)] if len(repeated) else places[:0]
            words = texts.bare[0]
            gone = _covered(len(words.starts), later, self.words)
            after.append(texts.without(words, gone) if len(later) else texts.column)
        return shortened(table, pa.chunked_array(after, pa.large_string()), "repeated_passage")


def _repeated(looked: Sequence[Arrays], part: int) -> tuple[Keys, Places]:
    """Of one part of all windows those that come again."""
    keys = np.concatenate([f[f"keys{part}"] for f in looked])
    places = np.concatenate([f[f"places{part}"] + (shard << SHARD) for shard, f in enumerate(looked)])
    again = np.concatenate([f[f"again{part}"] for f in looked])
    order = np.argsort(keys, kind="stable")  # of equal ones the first shard's is first
    keys, places, again = keys[order], places[order], again[order]
    key, first, counts = np.unique(keys, return_index=True, return_counts=True)
    several = (counts > 1) | (np.add.reduceat(again, first, dtype=np.int64) > 0 if len(first) else np.empty(0, bool))
    return key[several], places[first][several]


def _covered(count: int, starts: Places, length: int) -> NDArray[np.bool_]:
    """Which of so many words lie in some window."""
    change = np.zeros(count + 1, np.int64)
    np.add.at(change, starts, 1)
    np.add.at(change, starts + length, -1)
    found: NDArray[np.bool_] = np.cumsum(change)[:-1] > 0
    return found


STAGE = Substrings
