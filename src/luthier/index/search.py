"""Searching by meaning and by words at once, the two lists made one by adding their scores.

score = 0.7 of the similarity, from 0 for the last of its list to 1 for the first, + 0.3 of the BM25 score as a share of
the best. Reciprocal-rank fusion, which drops how far apart neighbours are, found less on every set that was measured
(docs/LOG.md). Source: Bruch, Gai and Ingber 2023, "An Analysis of Fusion Functions for Hybrid Retrieval". There 0.8 is
advised; 0.7 found as much here and leaves more weight to rare words.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np

from luthier.data.radicals import written
from luthier.index.records import Chunk, Hit
from luthier.index.store import Scored, Store
from luthier.index.terms import script
from luthier.index.threshold import lift
from luthier.models.embedding import Embedder, Vectors

MEANING = 0.7  # of the whole score
DEPTH = 50  # of each list, at least


def fused(near: Scored, worded: Scored) -> list[Hit]:
    """Both lists, each best first, as one, best first; of equals the nearer by meaning."""
    hits: dict[str, Hit] = {}
    lowest = near[-1][1] if near else 0.0
    span = near[0][1] - lowest if near else 0.0
    for rank, (chunk, similarity) in enumerate(near, 1):
        share = (similarity - lowest) / span if span else 1.0
        hits[chunk.id] = Hit(chunk, MEANING * share, similarity, 0.0, rank, None)
    most = worded[0][1] if worded else 0.0
    for rank, (chunk, score) in enumerate(worded, 1):
        hit = hits.get(chunk.id, Hit(chunk, 0.0, float("nan"), 0.0, None, None))  # as far as the last of that list
        share = score / most if most else 1.0
        hits[chunk.id] = replace(hit, score=hit.score + (1 - MEANING) * share, text_score=score, text_rank=rank)
    return sorted(hits.values(), key=lambda h: (-h.score, h.vector_rank or 10**9, h.chunk.id))


@dataclass
class Searcher:
    """An index ready to be asked. `by` names how: fused, vector or text."""

    store: Store
    embedder: Embedder
    _beside: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, 1), init=False, repr=False)

    def search(self, query: str, count: int = 5, where: str | None = None, by: str = "fused") -> list[Hit]:
        """The best chunks for a query, best first. where: an SQL condition on the columns of the index."""
        query = written(query)
        depth = max(DEPTH, 4 * count)
        # words need no vector: they are looked up while it is made
        words = self._beside.submit(self.store.worded, query, depth, where) if by != "vector" else None
        (vector,) = self.embedder.queries([query])
        near = self._nearest(query, vector, depth, where) if by != "text" else []
        hits = fused(near, words.result() if words else [])[:count]
        return [self._measured(hit, vector, query) for hit in hits]

    def _nearest(self, query: str, vector: Vectors, depth: int, where: str | None) -> Scored:
        """Chunks by similarity. What these models find texts less alike for being in another script is given back.

        So those of the other script are looked for by themselves, too: among all they would come too late.
        """
        found = self.store.nearest(vector, depth, where)
        if self._mixed:
            other = "script <> 'han'" if script(query) == "han" else "script = 'han'"
            more = self.store.nearest(vector, depth, f"({where}) AND {other}" if where else other)
            known = {chunk.id: (chunk, similarity) for chunk, similarity in (*found, *more)}.values()
            found = [(chunk, similarity + self._lift(query, chunk)) for chunk, similarity in known]
        return sorted(found, key=lambda each: -each[1])[:depth]

    def _lift(self, query: str, chunk: Chunk) -> float:
        crossed = self._mixed and (script(query) == "han") != (script(chunk.text) == "han")
        return lift(self.embedder, query) if crossed else 0.0

    @cached_property
    def _mixed(self) -> bool:
        """Whether there are Chinese chunks and others."""
        return 0 < self.store.count("script = 'han'") < self.store.count()

    def _measured(self, hit: Hit, vector: Vectors, query: str) -> Hit:
        """With its own similarity, also where only its words were found."""
        if not np.isnan(hit.similarity):
            return replace(hit, similarity=hit.similarity - self._lift(query, hit.chunk))
        (other,) = self.embedder.passages([hit.chunk.passage])  # from the cache
        return replace(hit, similarity=float(other @ vector))
