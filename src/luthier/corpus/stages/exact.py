"""Documents that are the same to the character; the first one stays. By 128 bits of hash, 16 bytes a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from luthier.corpus.arrays import Arrays
from luthier.corpus.dedup.stays import split
from luthier.corpus.kernels.words import hash_ranges
from luthier.corpus.outcome import Outcome
from luthier.corpus.stage import Known, Looking
from luthier.corpus.texts import Texts, batches

if TYPE_CHECKING:
    import pyarrow as pa

OTHER = np.uint32(0x5BD1E995)  # what makes the second half of a hash another one


@dataclass(frozen=True)
class Exact(Looking):
    """No options."""

    name: ClassVar[str] = "exact"

    def look(self, table: pa.Table) -> Arrays:
        """128 bits for each text."""
        out = [np.empty((0, 2), np.uint64)]
        for batch in batches(table["text"]):
            texts = Texts(batch)
            begins, ends = texts.bounds[:-1], texts.bounds[1:]
            out.append(np.stack([hash_ranges(chars, begins, ends) for chars in (texts.chars, texts.chars ^ OTHER)], 1))
        return {"hashes": np.concatenate(out)}

    def gather(self, looked: Sequence[Arrays]) -> Arrays:
        """Of each document of the corpus the first with its text."""
        keys = np.concatenate([f["hashes"] for f in looked])
        order = np.lexsort((np.arange(len(keys)), keys[:, 1], keys[:, 0]))
        new = np.r_[True, (keys[order][1:] != keys[order][:-1]).any(1)] if len(order) else np.empty(0, np.bool_)
        firsts = np.empty(len(keys), np.int64)
        firsts[order] = order[new][np.cumsum(new) - 1] if len(order) else order
        return {"stays": firsts, "first": np.cumsum([0, *(len(f["hashes"]) for f in looked)])}

    def apply(self, table: pa.Table, known: Known) -> Outcome:
        return split(table, known, "duplicate", "the same as")


STAGE = Exact
