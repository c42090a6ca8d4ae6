"""A model that answers questions from documents: what `retrieval` makes of a base model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from luthier.core.document import Document, Section
from luthier.core.errors import LuthierError
from luthier.core.records import Prompt, Sampling, Text
from luthier.data.document_readers.plain import title_of
from luthier.index.ask import MARK, nearest_sentence, prompt, support
from luthier.index.chunks import Chunking, chunked
from luthier.index.reading import language
from luthier.index.rows import text_of
from luthier.index.search import Searcher
from luthier.index.store import Settings, Store
from luthier.io.files import write_json, write_text
from luthier.models.embedding import Embedder

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.core.lm import WordedLM

Mode = Literal["write", "quote"]


@dataclass
class DocumentsLM:
    """k: passages a question. cite: answers end with the file they come from.

    modes: for questions in Chinese ("han") and others (""), whether the base writes or the best sentence is quoted.
    """

    lm: WordedLM
    embedder: Embedder
    documents: tuple[Text, ...]
    k: int
    chunking: Chunking
    modes: dict[str, Mode]
    cite: bool

    can = frozenset({"generate"})
    output = "text"
    labels = ()

    @property
    def tokenizer(self) -> Any:
        """The base model's, which says how long an answer may be; None where it is a server's."""
        return getattr(self.lm, "tokenizer", None)

    @cached_property
    def searcher(self) -> Searcher:
        """The documents, indexed in memory."""
        store = Store.create("memory://", Settings(self.embedder.name, self.embedder.key, self.embedder.encoder.width))
        chunks = [
            chunk
            for at, text in enumerate(self.documents)
            for chunk in chunked(
                Document(
                    text.source or f"document {at + 1}", (Section(text.text, "", title_of(text.text, text.source)),)
                ),
                self.chunking,
            )
        ]
        if not chunks:
            raise LuthierError("the documents hold no text to retrieve from")
        vectors = self.embedder.passages([chunk.passage for chunk in chunks], self.lm.progress)
        store.replace({chunk.file: "" for chunk in chunks}, chunks, vectors)
        store.tidy()
        return Searcher(store, self.embedder)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        """Answers from the nearest passages."""
        questions = [text_of(p) for p in prompts]
        self.embedder.queries(questions)
        found = [self.searcher.search(q, self.k) for q in questions]
        best = partial(nearest_sentence, self.embedder)
        near = [best(q, hits) if hits else ("", None) for q, hits in zip(questions, found, strict=True)]
        out, source = [text for text, _ in near], [hit for _, hit in near]
        asked = [i for i, q in enumerate(questions) if found[i] and self.modes[language(q)] == "write"]
        worded = [prompt(self.lm, questions[i], found[i], sampling.max_new_tokens) for i in asked]
        for i, said in zip(asked, self.lm.generate(worded, sampling) if worded else [], strict=True):
            out[i] = MARK.sub("", said).strip()
            source[i] = max(found[i], key=partial(support, out[i], questions[i]))  # the first of equals
        if self.cite:
            out = [f"{text} [{hit.chunk.file}]" if hit else text for text, hit in zip(out, source, strict=True)]
        return out

    def sources(self, prompts: Sequence[Prompt]) -> list[list[str]]:
        """For each prompt the places of the passages it is answered from, best first."""
        return [[h.chunk.place for h in self.searcher.search(text_of(p), self.k)] for p in prompts]

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> Tensor:
        """Not possible."""
        raise LuthierError("retrieval from documents writes answers, it cannot predict labels")

    def logprobs(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Tensor]:
        """Not possible."""
        raise LuthierError("retrieval from documents gives no likelihood of a text")

    def save(self, folder: Path) -> None:
        """The documents and how they are searched; vectors are made again, or come from the cache."""
        rows = [json.dumps({"source": t.source, "text": t.text}, ensure_ascii=False) for t in self.documents]
        write_text(folder / "documents.jsonl", "\n".join(rows) + "\n")
        meta = {"k": self.k, "chunking": asdict(self.chunking), "modes": self.modes, "cite": self.cite}
        write_json(folder / "luthier.json", meta | {"embedder": self.embedder.name, "labels": []})


def read_saved(folder: Path) -> tuple[Text, ...]:
    """What `DocumentsLM.save` wrote of the documents."""
    lines = (folder / "documents.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    return tuple(Text(row["text"], row["source"]) for row in rows)
