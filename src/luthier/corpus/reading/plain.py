"""Plain text, Markdown and the like: a file is a document, or each of its lines is one.

The encoding of a whole file is found by evidence (`data.encoding`); a file of lines is UTF-8 and may be of any size.
"""

from __future__ import annotations

from collections.abc import Iterator

from luthier.corpus.reading import Bad, Row, Source
from luthier.data.encoding import document

ENDINGS = (".txt", ".text", ".md", ".markdown", ".rst")
KIND = "text"


def read(source: Source) -> Iterator[Row | Bad]:
    if not source.lines:
        text, _ = document(source.whole())
        yield Row(text)
        return
    for place, line in source.each_line():
        if isinstance(line, Bad):
            yield line
        elif line.strip():
            try:
                yield Row(line.decode("utf-8-sig").strip(), place)
            except UnicodeDecodeError as error:
                yield Bad("encoding", f"no UTF-8: {error.reason} at byte {error.start}", place)
