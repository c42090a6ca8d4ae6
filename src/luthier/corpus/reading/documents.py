"""Files that the index reads, too: PDF and Word."""

from __future__ import annotations

from collections.abc import Iterator

from luthier.core import plugins
from luthier.corpus.reading import LARGEST, Bad, Row, Source, TooLargeError
from luthier.data.document_readers import endings

ENDINGS = (".pdf", ".docx")
KIND = "document"


def read(source: Source) -> Iterator[Row | Bad]:
    if source.path.stat().st_size > LARGEST:
        raise TooLargeError(f"more than {LARGEST >> 20} MB")
    sections, _ = plugins.members("documents")[endings()[source.ending]].load("read")(source.path)
    yield Row("\n\n".join(section.text.strip() for section in sections), kind=source.ending[1:])
