"""Files and folders read into shards of documents.

    DIR/kept/UUUUU-SSSSS.parquet      documents, by unit (neighbouring files of together about 32 MB) and shard
    DIR/dropped/UUUUU-SSSSS.parquet   what is no document: path, reason, detail
    DIR/counts/UUUUU.json             as of any stage; written last

A unit is done as a whole or again from its beginning, so that a restart gives the same shards.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.corpus import documents
from luthier.corpus.pool import Pool
from luthier.corpus.reading import Bad, Row, Source, ending, kinds, rows_of, size_of
from luthier.corpus.stage import COUNTS, DONE, DROPPED, KEPT, Counts, Say, done_in, sum_of
from luthier.io import places
from luthier.io.files import LOCK, alone, write_json

UNIT = 32 << 20  # bytes of files that one worker reads at a stretch
SHARD = 16 << 20  # bytes of text in a shard
ROWS = 20_000  # documents of a shard
TOO_MANY = 10_000  # files of one unit


@dataclass(frozen=True)
class Found:
    """Files to read. unread: how many of each ending nothing reads."""

    sources: tuple[Source, ...]
    unread: dict[str, int] = field(default_factory=dict)


def find(inputs: Sequence[Path], lines: bool = False) -> Found:
    """All files below the inputs that something reads, in the order of their names. Raises LuthierError for none."""
    sources: dict[str, Source] = {}
    unread: Counter[str] = Counter()
    for top in inputs:
        if not top.exists():
            raise LuthierError(f"{top}: no such file or folder")
        for path in places.files(top):
            if ending(path) not in kinds():
                if path == top:
                    raise LuthierError(f"{top}: nothing reads {path.suffix or 'a file without an ending'}; read are "
                                       f"{', '.join(sorted(kinds()))}, packed ones too")  # fmt: skip
                unread[ending(path) or "no ending"] += 1
                continue
            own = places.name_of(top)
            name = own if path == top else f"{own}/{path.relative_to(top).as_posix()}"
            if name in sources and sources[name].path != path:
                raise LuthierError(f"{path} and {sources[name].path} would both be {name}: name a folder above both")
            sources[name] = Source(path, printable(name), lines)
    if not sources:
        raise LuthierError(f"nothing to read in {', '.join(map(str, inputs))}; read are {', '.join(sorted(kinds()))}")
    return Found(tuple(sources.values()), dict(unread))


def each(inputs: Sequence[Path]) -> Iterator[tuple[Source, Row]]:
    """Every document of some files, with its file; what is none is left out. Raises LuthierError for no files."""
    for source in find(inputs).sources:
        for found in rows_of(source):
            if isinstance(found, Row):
                yield source, found


def texts(inputs: Sequence[Path]) -> Iterator[str]:
    """The text of every document of some files. Raises LuthierError for no files."""
    return (row.text for _, row in each(inputs))


Marks = tuple[tuple[Any, ...], ...]


def files(name: str) -> list[Path]:
    """A file, or all files below a folder but hidden ones, in their order. Raises LuthierError where it is neither."""
    top = places.place(name)
    if not top.exists():
        raise LuthierError(f"{name}: no such file or folder")
    return places.files(top)


def marks(*names: str) -> Marks:
    """By which it is seen whether files have changed since: name, size and time of each."""
    return tuple((str(path), *places.mark(path)) for name in names for path in files(name))


def printable(name: str) -> str:
    """A file's name as text: bytes of it that are no UTF-8 stand as \\xNN, since no file of ours can hold them."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def units(sources: Sequence[Source]) -> list[list[Source]]:
    """Neighbours that together are of about `UNIT` bytes."""
    out: list[list[Source]] = []
    size = 0
    for source in sources:
        own = places.mark(source.path)[0]
        if not out or size + own > UNIT or len(out[-1]) >= TOO_MANY:
            out.append([])
            size = 0
        out[-1].append(source)
        size += own
    return out


def run(inputs: Sequence[Path], folder: Path, pool: Pool, say: Say, lines: bool = False) -> Counts:
    """Read what is left to read; gives the sums. Raises LuthierError."""
    if (folder / DONE).exists():
        return Counts.read(folder / DONE)
    parts = units(find(inputs, lines).sources)
    with alone(folder / LOCK, f"{folder}: another command is at work there"):
        done = done_in(folder / COUNTS, "json")
        todo = [(at, part, folder) for at, part in enumerate(parts) if at not in done]
        for number in pool.in_turn(one, todo, len(done)):
            say(number, len(parts))
        return sum_of(folder, len(parts))


def one(at: int, sources: Sequence[Source], folder: Path) -> None:
    """Read one unit: its shards, what is no document of it, and its counts."""
    left = _Left(at, folder)
    kept = size = 0
    for shard, rows in enumerate(_shards(_rows(sources, left))):
        table = documents.table_of(rows)
        documents.write(table, folder / KEPT / f"{at:05d}-{shard:05d}.parquet")
        kept += len(rows)
        size += documents.size(table)
    left.write()
    lost = sum(left.reasons.values())
    counts = Counts(kept + lost, kept, lost, size, size, dict(sorted(left.reasons.items())))
    write_json(folder / COUNTS / f"{at:05d}.json", counts.__dict__)


class _Left:
    """What is no document of a unit, written in shards: a dump has millions of redirects."""

    def __init__(self, unit: int, folder: Path) -> None:
        self.unit, self.folder, self.shard = unit, folder, 0
        self.rows: list[dict[str, str]] = []
        self.reasons: Counter[str] = Counter()

    def add(self, row: dict[str, str]) -> None:
        self.rows.append(row)
        self.reasons[row["reason"]] += 1
        if len(self.rows) == ROWS:
            self.write()

    def write(self) -> None:
        """Write what is waiting; a unit has at least one file, which may be empty."""
        if self.shard and not self.rows:
            return
        table = documents.table_of(self.rows)
        for name in ("reason", "detail"):
            table = documents.with_column(table, name, documents.strings(row[name] for row in self.rows))
        documents.write(table, self.folder / DROPPED / f"{self.unit:05d}-{self.shard:05d}.parquet")
        self.rows, self.shard = [], self.shard + 1


def _rows(sources: Iterable[Source], left: _Left) -> Iterator[dict[str, str]]:
    """Documents as rows of a table; what is none is left."""
    for source in sources:
        kind = str(kinds()[source.ending].constants.get("KIND", ""))
        top = source.name.split("/")[0]
        for found in rows_of(source):
            path = f"{source.name}#{found.place}" if found.place else source.name
            own = {"id": documents.made_id(top, path), "source": top, "path": path, "kind": kind}
            if isinstance(found, Bad):
                left.add({**own, "reason": found.reason, "detail": found.detail})
            else:
                yield {**own, **_named(found), "text": found.text}


def _named(row: Row) -> dict[str, str]:
    """What a reader says of a document."""
    return {name: value for name in ("id", "kind", "language", "licence") if (value := getattr(row, name))}


def _shards(rows: Iterator[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    """Rows in runs of at most `SHARD` bytes and `ROWS`; one that is larger stands alone."""
    waiting = next(rows, None)
    while waiting is not None:
        out, size = [waiting], size_of(waiting["text"])
        waiting = None
        for row in islice(rows, ROWS - 1):
            own = size_of(row["text"])
            if size + own > SHARD:
                waiting = row
                break
            out.append(row)
            size += own
        yield out
        if waiting is None:
            waiting = next(rows, None)
