"""Searching by meaning and by words at once, the two lists made one by reciprocal-rank fusion.

score = sum over lists of 1 / (60 + rank). Source: Cormack, Clarke and Büttcher 2009, "Reciprocal Rank Fusion
outperforms Condorcet and individual Rank Learning Methods".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from luthier.index.embed import Embedder, Vectors
from luthier.index.records import Hit
from luthier.index.store import Scored, Store

RRF = 60
DEPTH = 50  # of each list, at least


def fused(near: Scored, worded: Scored) -> list[Hit]:
    """Both lists as one, best first; of equals the nearer by meaning."""
    hits: dict[str, Hit] = {}
    for rank, (chunk, similarity) in enumerate(near, 1):
        hits[chunk.id] = Hit(chunk, 1 / (RRF + rank), similarity, 0.0, rank, None)
    for rank, (chunk, score) in enumerate(worded, 1):
        hit = hits.get(chunk.id, Hit(chunk, 0.0, float("nan"), 0.0, None, None))
        hits[chunk.id] = replace(hit, score=hit.score + 1 / (RRF + rank), text_score=score, text_rank=rank)
    return sorted(hits.values(), key=lambda h: (-h.score, h.vector_rank or 10**9, h.chunk.id))


@dataclass
class Searcher:
    """An index ready to be asked. `by` names how: fused, vector or text."""

    store: Store
    embedder: Embedder

    def search(self, query: str, count: int = 5, where: str | None = None, by: str = "fused") -> list[Hit]:
        """The best chunks for a query, best first. where: an SQL condition on the columns of the index."""
        (vector,) = self.embedder.queries([query])
        depth = max(DEPTH, 4 * count)
        near = self.store.nearest(vector, depth, where) if by != "text" else []
        worded = self.store.worded(query, depth, where) if by != "vector" else []
        hits = fused(near, worded)[:count]
        return [self._measured(hit, vector) for hit in hits]

    def _measured(self, hit: Hit, vector: Vectors) -> Hit:
        """With its similarity, where only its words were found."""
        if not np.isnan(hit.similarity):
            return hit
        (other,) = self.embedder.passages([hit.chunk.passage])  # from the cache
        return replace(hit, similarity=float(other @ vector))
