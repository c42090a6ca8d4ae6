"""Documents for which others stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from luthier.corpus.outcome import Outcome, parted
from luthier.corpus.stage import Known

if TYPE_CHECKING:
    import pyarrow as pa


def split(table: pa.Table, known: Known, reason: str, like: str) -> Outcome:
    """A shard's documents, those dropped for which another one stays.

    known.gathered: `stays`, of each document of the corpus the one that stays for it, -1 where an earlier run has one;
    `first`, of each shard its first document.
    """
    first, rows = known.gathered["first"], table.num_rows
    begin = int(first[known.shard])
    stays = known.gathered["stays"][begin : begin + rows]
    kept = stays == np.arange(begin, begin + rows)
    others = stays[~kept]
    shards = np.searchsorted(first, others, "right") - 1
    told = [
        f"{like} row {other - first[at]} of {at:05d}" if other >= 0 else "kept by an earlier run"
        for at, other in zip(np.maximum(shards, 0), others, strict=True)
    ]
    return parted(table, ~kept, reason, told)
