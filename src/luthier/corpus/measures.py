"""What stages make of a corpus in tokens and in surprise, told from a sample of the documents that each one keeps.

Tokens are those of the embedded model's tokenizer: tokens a byte of the sample times all bytes. Perplexity is a word's
under counts of a reference text, the words of all sampled documents in the reference's language together. The sample is
spread evenly over shards and their documents, the same whenever it is drawn.

    DIR/stages/NN-NAME-HASH/measured.json   what was found, as long as the reference is the same
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from luthier.core.errors import LuthierError
from luthier.corpus import documents, read
from luthier.corpus.keys import digest
from luthier.corpus.stage import KEPT, shards_in
from luthier.corpus.stages.language import told
from luthier.corpus.surprise import counted
from luthier.corpus.texts import Texts
from luthier.io import places
from luthier.io.files import read_record, write_json

if TYPE_CHECKING:
    import pyarrow as pa

FILE = "measured.json"
SHARDS, SAMPLE, LONG = 8, 128, 4000  # shards that are opened, documents of them, characters of one


@dataclass(frozen=True)
class Measured:
    """Of the documents that a stage kept. tokens: of all, about. perplexity: None without a reference."""

    tokens: int
    perplexity: float | None = None


def measured(place: Path, size: int, reference: str = "") -> Measured:
    """What a stage's folder says of itself, else what a sample of its documents says.

    size: bytes of all that was kept. Raises LuthierError where a file is damaged.
    """
    path, by = place / FILE, " ".join(map(digest, read.files(reference))) if reference else ""
    if path.exists() and (found := read_record(path, "by", "tokens", "perplexity"))["by"] == by:
        return Measured(found["tokens"], found["perplexity"])
    made = _measured(place / KEPT, size, reference)
    write_json(path, {"by": by, **made.__dict__})
    return made


def _measured(kept: Path, size: int, reference: str) -> Measured:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.utf8_slice_codeunits(sample(kept), 0, LONG)
    seen = int(pc.sum(pc.binary_length(texts)).as_py() or 0)
    tokens = sum(len(one.ids) for one in _tokenizer().encode_batch(texts.to_pylist(), add_special_tokens=False))
    perplexity = None
    if reference:
        language = _language(reference, read.marks(reference))
        perplexity = _perplexity(
            texts.filter(pa.array([name == language for name in told(texts)[0]], pa.bool_())), reference
        )
    return Measured(round(size * tokens / seen) if seen else 0, perplexity)


def sample(folder: Path) -> pa.ChunkedArray:
    """Texts of documents from all over a folder of shards."""
    import pyarrow as pa

    paths = shards_in(folder)
    chosen = [paths[at] for at in np.unique(np.linspace(0, len(paths) - 1, min(SHARDS, len(paths))).astype(int))]
    parts: list[pa.Array] = []
    for path in chosen:
        column = documents.read(path, ["text"])["text"]
        rows = np.linspace(0, len(column) - 1, min(-(-SAMPLE // len(chosen)), len(column)))
        parts += column.take(pa.array(np.unique(rows.astype(np.int64)))).chunks
    return pa.chunked_array(parts, pa.large_string())


def _perplexity(column: pa.ChunkedArray, reference: str) -> float | None:
    """A word's, over all texts; None where there are none."""
    texts = Texts(column)
    words = texts.plain_words.counts
    if not words.sum():
        return None
    nats = float(counted(reference).surprise(texts) @ words / words.sum())
    return float(np.exp(min(nats, 50.0)))


@cache
def _language(reference: str, marks: read.Marks) -> str:
    """Of most of a reference's first texts."""
    import pyarrow as pa

    first = list(islice(read.texts([places.place(reference)]), SAMPLE))
    if not first:
        raise LuthierError(f"{reference}: holds no text that could be read")
    return Counter(told(pa.chunked_array([pa.array(first, pa.large_string())]))[0]).most_common(1)[0][0]


@cache
def _tokenizer() -> Any:
    from tokenizers import Tokenizer

    from luthier.models.loading.bundled import embedded_model

    return Tokenizer.from_file(str(embedded_model() / "tokenizer.json"))
