"""Sentences that stand in many documents are cut wherever they stand: menus, licences, what a site says on every page.

Compared without case and marks, a Han character as a word; sentences of fewer words than `words` say nothing of their
source. Eight bytes a sentence are global.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from luthier.corpus.arrays import Arrays
from luthier.corpus.kernels.repeats import hash_runs
from luthier.corpus.outcome import Outcome, shortened
from luthier.corpus.stage import Known, Looking
from luthier.corpus.texts import Ranges, Texts, batches

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Sentences(Looking):
    """words: of a sentence that is looked at, at least. most: documents that may have it before it is cut."""

    name: ClassVar[str] = "sentences"

    words: Annotated[int, Ge(1)] = 5
    most: Annotated[int, Ge(1)] = 2

    @property
    def looks(self) -> Mapping[str, Any]:
        return {"words": self.words}

    def _found(self, texts: Texts) -> tuple[Ranges, NDArray[np.uint64], NDArray[np.bool_]]:
        """Sentences, their hashes, and which are long enough."""
        ranges = texts.sentences
        low, high = texts.words_in(ranges)
        return ranges, hash_runs(texts.plain_hashes, low, high), high - low >= self.words

    def look(self, table: pa.Table) -> Arrays:
        """Hashes of sentences, each once a document, sorted; how many documents have it."""
        out = [np.empty(0, np.uint64)]
        for batch in batches(table["text"]):
            texts = Texts(batch)
            ranges, keys, long = self._found(texts)
            pairs = np.stack([ranges.owners[long].astype(np.uint64), keys[long]], 1)
            out.append(np.unique(pairs, axis=0)[:, 1])
        keys, counts = np.unique(np.concatenate(out), return_counts=True)
        return {"keys": keys, "counts": counts.astype(np.int32)}

    def gather(self, looked: Sequence[Arrays]) -> Arrays:
        """Hashes that too many documents have, sorted."""
        keys = np.concatenate([f["keys"] for f in looked])
        counts = np.concatenate([f["counts"] for f in looked])
        found, places = np.unique(keys, return_inverse=True)
        return {"keys": found[np.bincount(places, counts, len(found)) > self.most]}

    def apply(self, table: pa.Table, known: Known) -> Outcome:
        import pyarrow as pa

        after = []
        for batch in batches(table["text"]):
            texts = Texts(batch)
            ranges, keys, long = self._found(texts)
            gone = long & np.isin(keys, known.gathered["keys"])
            after.append(texts.without(ranges, gone) if gone.any() else texts.column)
        now = pa.chunked_array(after, pa.large_string())
        return shortened(table, now, "repeated_sentences")


STAGE = Sentences
