"""From a file, a folder or a hub id to rows: which reader reads what.

mine.jsonl  mine.json  mine.csv  mine.tsv  mine.parquet  mine.txt
folder  folder:test              a data set of the `datasets` library, or a folder of its files; `:` names the part
owner/name  owner/name/config:test              the same from the Hugging Face hub
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from luthier.data import columnar, jsonfiles, tables
from luthier.data.source import Source, paragraphs
from luthier.errors import LuthierError

READERS: Mapping[str, Callable[[Path, tuple[str, ...]], Source]] = MappingProxyType(
    {
        ".jsonl": jsonfiles.read_lines,
        ".json": jsonfiles.read_whole,
        ".csv": tables.read_csv,
        ".tsv": tables.read_tsv,
        ".parquet": columnar.read_parquet,
        ".txt": paragraphs,
    }
)
EXTENSIONS = tuple(READERS)


def load(path: Path, mapped: Iterable[str] = ()) -> Source:
    """The rows of `path`. `mapped` are the columns a `--map` names: all numbers mean a table without header row.

    Raises LuthierError where nothing can be read: no such file, an empty file, another format, a broken header, a
    mapped column that is not there, a missing library.
    """
    path, names = Path(path), tuple(mapped)
    reader = READERS.get(path.suffix.lower())
    if reader and not path.is_dir():
        return reader(path, names)
    if place := columnar.find(path):
        return columnar.read_dataset(place, names)
    known = ", ".join(EXTENSIONS)
    if path.is_dir():
        raise LuthierError(f"{path} is a folder without a data set in it: name one {known} file")
    if path.exists():
        raise LuthierError(f"{path}: unknown kind of file {path.suffix or '(no extension)'}: luthier reads {known}")
    raise LuthierError(f"{path} does not exist: check the path")
