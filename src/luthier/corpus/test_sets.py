"""Test sets by name: one inside the package, the test rows of a comparison, or files of rows or of texts.

Every text of a row is sought, whatever its column is called: a question, an answer, both sides of a pair, each turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.corpus import read
from luthier.corpus.passages import Sought
from luthier.corpus.reading import ending, kinds
from luthier.data import embedded, formats
from luthier.io.places import local, place

ROWS = (".json", ".jsonl", ".ndjson", ".parquet")  # of what reads documents, what holds rows
COMPARED = "test_rows.jsonl"  # of a comparison's folder


def files(name: str) -> list[Path]:
    """What a test set is read from. Raises LuthierError where there is none of that name."""
    if found := embedded.find(name):
        return list(found.paths)
    if not place(name).exists():
        raise LuthierError(f"{name}: no file, no folder, and none of the sets {', '.join(embedded.names())}")
    kept = place(name) / COMPARED
    return [kept] if kept.is_file() else read.files(name)


def rows(name: str) -> Iterator[Sought]:
    """The texts of a test set. Raises LuthierError where there is none of that name, or where it cannot be read."""
    for path in files(name):
        yield from _of_file(path)


def _of_file(path: Path) -> Iterator[Sought]:
    end = ending(path)
    if end not in ROWS and end in kinds():
        for file, document in read.each([path]):
            yield Sought(f"{file.name}{f', {document.place}' if document.place else ''}", document.text)
        return
    with local(path) as here:
        source = formats.load(here)
    for text in () if source.structured else source.columns:  # a table without a header has its first row there
        yield Sought(f"{path.name}, {source.unit} 1", text)
    by_line = len({row.line for row in source.rows}) == len(source.rows)
    for number, row in enumerate(source.rows, 1):
        place = f"{path.name}, {source.unit} {row.line}" if by_line else f"{path.name}, row {number}"
        yield from (Sought(place, text) for text in _texts(row.columns))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)
