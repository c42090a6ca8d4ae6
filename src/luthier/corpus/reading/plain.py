"""Plain text, Markdown and the like: a file is a document. Its encoding is found by evidence (`data.encoding`)."""

from __future__ import annotations

from collections.abc import Iterator

from luthier.corpus.reading import Bad, Row, Source
from luthier.data.encoding import document

ENDINGS = (".txt", ".text", ".md", ".markdown", ".rst")
KIND = "text"


def read(source: Source) -> Iterator[Row | Bad]:
    text, _ = document(source.whole())
    yield Row(text)
