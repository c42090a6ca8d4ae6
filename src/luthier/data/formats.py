"""From a file, a folder or a hub id to rows: which reader reads what.

mine.jsonl  mine.json  mine.csv  mine.tsv  mine.parquet  mine.txt  mine.jsonl.gz
folder  folder:test  folder/config:test              a data set of the `datasets` library, or a folder of its files
owner/name  owner/name/config:test              the same from the Hugging Face hub; `:` names the part
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.data import columnar
from luthier.data.encoding import lookup
from luthier.data.filekinds import not_rows
from luthier.data.readers import by_ending
from luthier.data.source import Source, contents, inside, root_of


def load(path: Path, mapped: Iterable[str] = (), encoding: str = "") -> Source:
    """The rows of `path`. `mapped` are the columns a `--map` names: all numbers mean a table without header row.

    A path into a column, such as `messages[-1].content`, becomes a column of its own.
    encoding: of a text file that is not UTF-8; "" for the one that fits.
    Raises LuthierError where nothing can be read: no such file, an empty file, another format, a broken header, a
    mapped column that is not there, an unknown encoding, a missing library.
    """
    path, names = Path(path), tuple(mapped)
    if encoding:
        lookup(encoding)
    packed = path.suffix.lower() == ".gz"
    suffix = (path.with_suffix("") if packed else path).suffix.lower()
    reader = by_ending().get(suffix)
    if packed and reader and reader.constants.get("PACKED"):
        raise LuthierError(f"{path}: unpack it: {reader.name} is compressed as it is")
    if reader and not path.is_dir():
        return _reached(reader.load("read")(path, names, encoding), names)
    if place := columnar.find(path):
        return _reached(columnar.read_dataset(place, names, encoding), names)
    known = ", ".join(by_ending())
    if path.is_dir():
        raise LuthierError(
            f"{path} is a folder without a data set in it: name {columnar.inside(path) or f'one {known} file'}"
        )
    if path.exists():
        if what := not_rows(contents(path)):
            raise LuthierError(f"{path} is {what}")
        raise LuthierError(f"{path}: unknown kind of file {path.suffix or '(no extension)'}: luthier reads {known}")
    raise LuthierError(f"{path} does not exist: check the path")


def _reached(source: Source, names: tuple[str, ...]) -> Source:
    """The source with a column for every path into another one."""
    paths = [name for name in names if name not in source.columns and root_of(name) in source.columns]
    if not paths:
        return source
    rows = []
    for row in source.rows:
        found = {path: inside(row.columns.get(root_of(path)), path) for path in paths}
        there = {path: value for path, value in found.items() if value is not None}
        rows.append(replace(row, columns={**row.columns, **there}))
    return replace(source, rows=tuple(rows), columns=(*source.columns, *paths))
