"""What stages make of a corpus in tokens and in surprise, told from a sample of the documents that each one keeps.

Tokens are those of the embedded model's tokenizer: tokens a byte of the sample times all bytes. Perplexity is a word's
under counts of a reference text, the words of all sampled documents in the reference's language together. The sample is
spread evenly over shards and their documents, the same whenever it is drawn.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from luthier.corpus import documents
from luthier.corpus.stage import KEPT, shards_in
from luthier.corpus.stages.language import told
from luthier.corpus.surprise import counted
from luthier.corpus.texts import Texts

if TYPE_CHECKING:
    import pyarrow as pa

SHARDS, SAMPLE, LONG = 8, 128, 4000  # shards that are opened, documents of them, characters of one


@dataclass(frozen=True)
class Measured:
    """Of the documents that a stage kept. tokens: of all, about. perplexity: None without a reference."""

    tokens: int
    perplexity: float | None = None


def measured(place: Path, size: int, reference: str = "") -> Measured:
    """Look at a sample. size: bytes of all that was kept. Raises LuthierError where a file is damaged."""
    import pyarrow.compute as pc

    table = sample(place / KEPT)
    texts = pc.utf8_slice_codeunits(table["text"], 0, LONG)
    read = int(pc.sum(pc.binary_length(texts)).as_py() or 0)
    tokens = sum(len(one.ids) for one in _tokenizer().encode_batch(texts.to_pylist(), add_special_tokens=False))
    seen = _perplexity(texts.filter(_spoken(table, texts, _language(reference))), reference) if reference else None
    return Measured(round(size * tokens / read) if read else 0, seen)


def sample(folder: Path) -> pa.Table:
    """Documents from all over a folder of shards."""
    import pyarrow as pa

    paths = shards_in(folder)
    chosen = [paths[at] for at in np.unique(np.linspace(0, len(paths) - 1, min(SHARDS, len(paths))).astype(int))]
    parts = [documents.schema().empty_table()]
    for path in chosen:
        table = documents.read(path, list(documents.COLUMNS))
        rows = np.linspace(0, table.num_rows - 1, min(-(-SAMPLE // len(chosen)), table.num_rows))
        parts.append(table.take(pa.array(np.unique(rows.astype(np.int64)))))
    return pa.concat_tables(parts)


def _spoken(table: pa.Table, texts: pa.ChunkedArray, language: str) -> pa.Array:
    """Which documents are in a language, as they say; what says nothing is looked at."""
    import pyarrow as pa

    found = told(texts)[0]
    return pa.array(
        [(said or seen) == language for said, seen in zip(table["language"].to_pylist(), found, strict=True)]
    )


def _perplexity(column: pa.ChunkedArray, reference: str) -> float | None:
    """A word's, over all texts; None where there are none."""
    texts = Texts(column)
    words = texts.plain_words.counts
    if not words.sum():
        return None
    nats = float(counted(reference).surprise(texts) @ words / words.sum())
    return float(np.exp(min(nats, 50.0)))


@cache
def _language(reference: str) -> str:
    """Of most texts of a reference."""
    import pyarrow as pa

    from luthier.corpus import read

    names, _ = told(pa.chunked_array([pa.array(list(read.texts([Path(reference)])), pa.large_string())]))
    return Counter(names).most_common(1)[0][0]


@cache
def _tokenizer() -> Any:
    from tokenizers import Tokenizer

    from luthier.models.loading.bundled import embedded_model

    return Tokenizer.from_file(str(embedded_model() / "tokenizer.json"))
