"""Texts that tokenizers are looked at on, with the language of each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.corpus import read
from luthier.corpus.stages.language import told
from luthier.data.embedded import GENERAL

MOST = 2000  # texts that are looked at


def of_files(inputs: Sequence[Path]) -> tuple[list[str], list[str]]:
    """The first texts of files, of ours where none are named, and their languages. Raises LuthierError for none."""
    import pyarrow as pa

    texts = list(islice(read.texts(list(inputs) or list(GENERAL)), MOST))
    if not texts:
        raise LuthierError(f"{', '.join(map(str, inputs))}: no text that could be read")
    return texts, [name or "—" for name in told(pa.chunked_array([pa.array(texts, pa.large_string())]))[0]]
