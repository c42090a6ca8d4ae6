"""The vector database: one LanceDB table, in a folder or at an object store's address.

A row is a chunk and carries the digest of its file and of all that decides its chunks, so the table is also the list
of what is in it. One commit replaces all chunks of some files: a killed build leaves each file as it was or whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.index.chunks import Chunking
from luthier.index.records import Chunk
from luthier.index.terms import script, sought, terms
from luthier.models.embedding import DEFAULT, Vectors

TABLE = "chunks"
FORMAT = 2  # raised when rows mean something else; 2: texts without radicals in the place of characters
HIDDEN = ("words", "digest", "vector", "id", "at", "start", "end")  # columns that are no use in --where
Scored = list[tuple[Chunk, float]]


@dataclass(frozen=True)
class Settings:
    """What an index was made with. embedder: its name, key: what its vectors depend on, width: of a vector."""

    embedder: str = DEFAULT
    key: str = ""
    width: int = 384
    chunking: Chunking = field(default_factory=Chunking)
    format: int = FORMAT

    @property
    def rules(self) -> str:
        """What decides a file's chunks besides its content."""
        return json.dumps(asdict(self), sort_keys=True)


class Absent(LuthierError):  # noqa: N818
    """No index is there, or only one that was broken off while it was made or is damaged: a build may make it anew."""


class Store:
    """The table of one index, open."""

    def __init__(self, at: str, table: Any, settings: Settings) -> None:
        self.at, self.table, self.settings = at, table, settings

    # -- opening -------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, at: str) -> Store:
        """An index that is there. Raises Absent where none is, LuthierError where it is not ours or out of reach."""
        if "://" not in at and not (Path(at) / f"{TABLE}.lance").exists():
            raise Absent(f"no index at {at}: make one with `luthier index build DOCS`, or name another with --at")
        try:
            table = _connect(at).open_table(TABLE)
        except (ValueError, OSError, RuntimeError) as error:
            kind = Absent if "://" not in at or f"'{TABLE}' was not found" in str(error) else LuthierError
            raise kind(f"the index at {at} cannot be opened: {_said(error)}") from None
        return cls(at, table, _settings(table, at))

    @classmethod
    def create(cls, at: str, settings: Settings) -> Store:
        """A new, empty index; one that was there is replaced."""
        import pyarrow as pa

        base = _connect(at)
        texts = ("id", "file", "section", "title", "text", "words", "script", "kind", "digest")
        numbers = ("at", "start", "end")
        columns = [*((n, pa.string()) for n in texts), *((n, pa.int64()) for n in numbers)]
        columns += [("tags", pa.list_(pa.string())), ("vector", pa.list_(pa.float32(), settings.width))]
        schema = pa.schema(columns, metadata={"luthier": settings.rules})
        with _told(f"no index can be made at {at}, remove what is there or name another with --at"):
            store = cls(at, base.create_table(TABLE, schema=schema, mode="overwrite"), settings)
            store._words()
        return store

    def _words(self) -> None:
        """The full-text index. Words are cut by `terms`, so that it only parts them at spaces."""
        from lancedb.index import FTS

        if not any(i.columns == ["words"] for i in self.table.list_indices()):
            plan = FTS(base_tokenizer="whitespace", language="English", stem=True, remove_stop_words=True)
            self.table.create_index("words", config=plan)

    # -- writing -------------------------------------------------------------------------------------------------

    def replace(self, files: dict[str, str], chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Put these chunks in the place of all that the files had, in one commit. files: name -> digest."""
        rows = [
            {
                **{k: v for k, v in vars_of(chunk).items() if k != "tags"},
                "tags": list(chunk.tags),
                "id": chunk.id,
                "words": " ".join(terms(chunk.passage)),
                "script": script(chunk.text),
                "kind": Path(chunk.file).suffix.lower().lstrip("."),
                "digest": files[chunk.file],
                "vector": vector,
            }
            for chunk, vector in zip(chunks, vectors, strict=True)
        ]
        import pyarrow as pa

        gone = f"file IN ({', '.join(map(quoted, files))})"
        merge = self.table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
        with _told(f"the index at {self.at} cannot be written"):
            merge.when_not_matched_by_source_delete(gone).execute(pa.Table.from_pylist(rows, schema=self.table.schema))

    def remove(self, files: Sequence[str]) -> None:
        """Take all chunks of the files out, in one commit."""
        if files:
            with _told(f"the index at {self.at} cannot be written"):
                self.table.delete(f"file IN ({', '.join(map(quoted, files))})")

    def tidy(self) -> None:
        """Bring the full-text index up to date and drop what old commits left: searching stays quick."""
        from datetime import timedelta

        with _told(f"the index at {self.at} cannot be written"):
            self._words()
            self.table.optimize(cleanup_older_than=timedelta(days=1))

    # -- reading -------------------------------------------------------------------------------------------------

    def files(self) -> dict[str, str]:
        """The digest of each file in the index, by its name."""
        with _told(f"the index at {self.at} is damaged, remove it and build it anew"):
            rows = self.table.search().select(["file", "digest"]).limit(None).to_arrow().to_pydict()
        return dict(zip(rows["file"], rows["digest"], strict=True))

    def count(self, where: str | None = None) -> int:
        """How many chunks there are, of a kind."""
        return int(self.table.count_rows(where))

    def nearest(self, vector: Vectors, count: int, where: str | None = None) -> Scored:
        """Chunks by their cosine similarity with a vector (d,), highest first."""
        query = self.table.search(vector, vector_column_name="vector").distance_type("cosine")
        return [(chunk, 1 - far) for chunk, far in self._rows(query, count, where, "_distance")]

    def worded(self, text: str, count: int, where: str | None = None) -> Scored:
        """Chunks that share words with a text, by BM25, highest first."""
        for wanted in dict.fromkeys(" ".join(words(text)) for words in (sought, terms)):
            query = self.table.search(wanted, query_type="fts", fts_columns="words")
            if wanted and (found := list(self._rows(query, count, where, "_score"))):
                return found
        return []

    def _rows(self, query: Any, count: int, where: str | None, score: str) -> Iterator[tuple[Chunk, float]]:
        columns = ["file", "at", "section", "title", "start", "end", "text", "tags"]
        try:
            if where:
                query = query.where(f"({where})", prefilter=True)  # else what follows a whole condition is ignored
            rows = query.select([*columns, score]).limit(count).to_arrow().to_pylist()
        except (ValueError, RuntimeError, OSError) as error:
            if not where:
                raise LuthierError(f"the index at {self.at} cannot be searched: {_said(error)}") from None
            known = ", ".join(n for n in self.table.schema.names if n not in HIDDEN)
            raise LuthierError(f"--where {where}: {_said(error)}. Columns: {known}") from None
        for row in rows:
            yield Chunk(**{n: row[n] for n in columns if n != "tags"}, tags=tuple(row["tags"] or ())), row[score]


def vars_of(chunk: Chunk) -> dict[str, Any]:
    """The fields of a chunk."""
    return asdict(chunk)


def quoted(text: str) -> str:
    """A string in SQL."""
    return "'" + text.replace("'", "''") + "'"


def _said(error: BaseException) -> str:
    whole = " ".join(str(error).split())
    return re.sub(r", /\S+\.rs:\d+:\d+", "", whole)[:300]  # where in LanceDB's source is nothing to a user


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Say what LanceDB could not do, such as write on a full disk."""
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        raise LuthierError(f"{what}: {_said(error)}") from None


def _connect(at: str) -> Any:
    os.environ.setdefault("LANCEDB_LOG", "error")  # else it says on a terminal that a new table is new
    import importlib.util

    if importlib.util.find_spec("lancedb") is None:
        raise LuthierError("an index needs lancedb: pip install 'luthier[index]'")
    import lancedb

    try:
        return lancedb.connect(at)
    except (ValueError, OSError, RuntimeError) as error:
        raise LuthierError(f"--at {at}: {_said(error)}") from None


def _settings(table: Any, at: str) -> Settings:
    try:
        values = json.loads(table.schema.metadata[b"luthier"])
        return Settings(**{**values, "chunking": Chunking(**values["chunking"])})
    except (KeyError, TypeError, ValueError):
        raise LuthierError(
            f"the table at {at} was not made by this version of luthier: name another with --at"
        ) from None


@contextlib.contextmanager
def alone(at: str) -> Iterator[None]:
    """One writer at a time, where the index is a folder. An object store has no lock: there it is up to the user."""
    if "://" in at:
        yield
        return
    from filelock import FileLock, Timeout

    folder = Path(at)
    if folder.exists() and not folder.is_dir():
        raise LuthierError(f"--at {at}: it is a file, not a folder")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=10):
            yield
    except Timeout:
        raise LuthierError(f"another command is writing to the index at {at}: wait for its end") from None
