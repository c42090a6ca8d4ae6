"""One step over shards of documents, so that a kill at any moment changes nothing.

    DIR/kept/NNNNN.parquet      documents that go on, as they are now
    DIR/dropped/NNNNN.parquet   those that do not: the document with `reason` and `detail`
    DIR/cut/NNNNN.parquet       of documents that go on changed: id, reason, before, after
    DIR/found/NNNNN.parquet     what was sought and found: id, path, what, quote
    DIR/counts/NNNNN.json       in, kept, dropped, reasons, bytes: written last, so that a shard that has it is done
    DIR/stage.json              the sums, written when all shards are done

    LOOKED/NNNNN.npz            what a stage had to know of a shard's documents first, kept for other thresholds
    DIR/gathered.npz            what follows from that of all shards

A shard's outcome hangs on nothing but the shard, the stage's options and what was gathered: a restart does the shards
that are left and gives the same bytes. In = kept + dropped, to the document.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.errors import LuthierError
from luthier.corpus import documents
from luthier.corpus.arrays import Arrays, Stored, write_arrays
from luthier.corpus.outcome import Outcome
from luthier.corpus.pool import Pool
from luthier.io.files import LOCK, alone, read_record, write_json
from luthier.io.places import each, members

if TYPE_CHECKING:
    import pyarrow as pa

LOOKED, GATHERED = "looked", "gathered.npz"
KEEP = 2  # arrays of what was gathered that stay in memory between shards
KEPT, DROPPED, CUT, FOUND, COUNTS, DONE = "kept", "dropped", "cut", "found", "counts", "stage.json"
Say = Callable[[int, int], None]  # shards done, of how many


class Stage(ABC):
    """A step. A subclass is a frozen dataclass of its options, which workers are sent."""

    name: ClassVar[str]
    paths: ClassVar[tuple[str, ...]] = ()  # options that name files and folders
    may_be_paths: ClassVar[tuple[str, ...]] = ()  # those that name files, or something of ours

    @property
    def reads(self) -> Mapping[str, Sequence[Path]]:
        """Files besides the documents that its outcome hangs on, by option: known by what they hold, not by names."""
        return {}

    @property
    def hangs_on(self) -> Mapping[str, Any]:
        """What else its outcome hangs on besides options and files: versions of what is installed."""
        return {}

    @property
    def notes(self) -> Sequence[str]:
        """What people are told before it begins: what it cannot do here."""
        return ()

    def said(self, outcome: Mapping[str, Any]) -> Sequence[str]:
        """What people are told of its outcome, as the funnel has it, besides the numbers."""
        return ()

    @abstractmethod
    def apply(self, table: pa.Table, known: Known) -> Outcome:
        """What becomes of a shard's documents. known: empty where nothing was looked at (`Looking`)."""


class Looking(Stage):
    """A step that looks at documents before it judges them: for what it has to know of all, or to keep what it saw.

    What it looked at is kept, and used again by one with the same `looks`: thresholds are no part of them.
    """

    @property
    def looks(self) -> Mapping[str, Any]:
        """The options that what is looked at hangs on; all of them unless a subclass knows better."""
        return self.__dict__

    @property
    def look_reads(self) -> Mapping[str, Sequence[Path]]:
        """Files besides the documents that it hangs on; all that the stage reads unless a subclass knows better."""
        return self.reads

    @abstractmethod
    def look(self, table: pa.Table) -> Arrays:
        """What of a shard's documents the others have to know: a few bytes of each."""

    def gather(self, looked: Sequence[Arrays]) -> Arrays:
        """What follows from that of all shards, in their order; nothing where a shard's own is enough."""
        return {}


@dataclass(frozen=True)
class Known:
    """Of a shard: its number, what was looked at of its documents, and what was gathered of all."""

    shard: int = 0
    looked: Arrays = field(default_factory=dict)
    gathered: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Counts:
    """in = kept + dropped. reasons: of what was dropped; changed: documents that lost a part, by reason."""

    taken: int = 0
    kept: int = 0
    dropped: int = 0
    bytes_in: int = 0
    bytes_kept: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)

    def plus(self, other: Counts) -> Counts:
        """The sums."""
        sums: dict[str, Any] = {name: getattr(self, name) + getattr(other, name) for name in NUMBERS}
        for name in ("reasons", "changed"):
            sums[name] = dict(sorted((Counter(getattr(self, name)) + Counter(getattr(other, name))).items()))
        return Counts(**sums)

    @staticmethod
    def read(path: Path) -> Counts:
        """Of a shard, or of a whole stage. Raises LuthierError where the file is damaged."""
        found = read_record(path, *NUMBERS, "reasons", "changed")
        return Counts(**{name: found[name] for name in (*NUMBERS, "reasons", "changed")})


NUMBERS = ("taken", "kept", "dropped", "bytes_in", "bytes_kept")


def shards_in(folder: Path) -> list[Path]:
    """Files of documents, in their order."""
    return [folder / name for name in members(folder) if name.endswith(".parquet") and not name.startswith(".")]


def run(stage: Stage, shards: Sequence[Path], folder: Path, pool: Pool, say: Say, looked: Path | None = None) -> Counts:
    """Do what is left of a stage and give its sums. Raises LuthierError, also where another process is at work.

    looked: where what is looked at is kept; below `folder` unless given.
    """
    if (folder / DONE).exists():
        return Counts.read(folder / DONE)
    looked = looked or folder / LOOKED
    numbered = list(enumerate(shards))
    steps = len(shards) * (1 + isinstance(stage, Looking))
    with alone(folder / LOCK, f"{folder}: another command is at work there"):
        if isinstance(stage, Looking):
            there = done_in(looked, "npz")
            todo: list[tuple[Any, ...]] = [
                (stage, path, _looked(looked, at)) for at, path in numbered if at not in there
            ]
            for done in pool.in_turn(look_at, todo, len(shards) - len(todo)):
                say(done, steps)
            if shards and not (folder / GATHERED).exists():
                write_arrays(folder / GATHERED, stage.gather([Stored(_looked(looked, at)) for at, _ in numbered]))
        there = done_in(folder / COUNTS, "json")
        todo = [(stage, at, path, folder, looked) for at, path in numbered if at not in there]
        for done in pool.in_turn(judge, todo, steps - len(todo)):
            say(done, steps)
        total = sum_of(folder, len(shards))
        _gathered.cache_clear()
    return total


def done_in(folder: Path, ending: str) -> set[int]:
    """Numbers of the shards that have a file there."""
    stems = (name.removesuffix(f".{ending}") for name in members(folder) if name.endswith(f".{ending}"))
    return {int(stem) for stem in stems if stem.isdecimal()}


def _looked(folder: Path, at: int) -> Path:
    return folder / f"{at:05d}.npz"


def _counts(folder: Path, at: int) -> Path:
    return folder / COUNTS / f"{at:05d}.json"


def sum_of(folder: Path, parts: int) -> Counts:
    """Add up what became of all parts, and write it: the stage is done."""
    total = Counts()
    for one in each(lambda at: Counts.read(_counts(folder, at)), range(parts)):
        total = total.plus(one)
    write_json(folder / DONE, total.__dict__)
    return total


def look_at(stage: Looking, path: Path, to: Path) -> None:
    """Keep what the other shards have to know of one."""
    write_arrays(to, stage.look(documents.read(path)))


def judge(stage: Stage, at: int, path: Path, folder: Path, looked: Path) -> None:
    """Do one shard. Raises LuthierError where documents got lost: a fault of the stage."""
    table = documents.read(path)
    known = Known(at)
    if isinstance(stage, Looking):
        known = Known(at, Stored(_looked(looked, at)), _gathered(folder / GATHERED))
    found = stage.apply(table, known)
    if found.kept.num_rows + found.dropped.num_rows != table.num_rows:
        raise LuthierError(
            f"{path}: {stage.name} took {table.num_rows} documents and gave {found.kept.num_rows} + "
            f"{found.dropped.num_rows}: please report this"
        )
    name = f"{at:05d}.parquet"
    documents.write(found.kept, folder / KEPT / name)
    documents.write(found.dropped, folder / DROPPED / name)
    for place, rows in ((CUT, found.cut), (FOUND, found.found)):
        if rows is not None and rows.num_rows:
            documents.write(rows, folder / place / name)
    write_json(_counts(folder, at), counted(table, found).__dict__)


@lru_cache(maxsize=1)
def _gathered(path: Path) -> Arrays:
    """Of a stage, for all shards of a worker."""
    return Stored(path, keep=KEEP)


def counted(table: pa.Table, found: Outcome) -> Counts:
    """What became of a shard, in numbers."""
    changed = Counter(found.cut["reason"].to_pylist()) if found.cut is not None else Counter[str]()
    return Counts(
        table.num_rows, found.kept.num_rows, found.dropped.num_rows, documents.size(table), documents.size(found.kept),
        dict(sorted(Counter(found.dropped["reason"].to_pylist()).items())), dict(sorted(changed.items())),
    )  # fmt: skip


def as_text(options: Mapping[str, Any]) -> str:
    """Options as text, the same for the same ones."""
    return json.dumps(dict(options), default=lambda x: x.__dict__, sort_keys=True)
