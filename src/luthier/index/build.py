"""Bringing an index up to date with files: read, chunk, embed, store; what did not change is left as it is.

Files go in by groups, each in one commit, in the order of their names. What is wrong with a file is reported and the
rest goes on; a file that was in the index and cannot be read any more is taken out of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.data.document_files import Found, find, plain
from luthier.data.document_readers import read_document
from luthier.index.chunks import Chunking, chunked
from luthier.index.records import Chunk
from luthier.index.store import Absent, Settings, Store, alone
from luthier.models.embedding import DEFAULT, Embedder, load_embedder

Say = Callable[[int, int], None]  # bytes done, of how many
GROUP = 256  # chunks of one commit, at least
LIMIT_MB = 20.0


@dataclass
class Report(Found):
    """What a build did, by names of files."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    chunks: int = 0


def build(
    docs: Sequence[Path], at: str, chunking: Chunking, embedder: str = DEFAULT, limit_mb: float = LIMIT_MB,
    cache: Path | None = None, say: Say | None = None,
) -> Report:  # fmt: skip
    """Make the index hold exactly these files and folders. Another embedder or chunk size makes all of it anew."""
    report = Report()
    files = find(docs, report)
    model = load_embedder(embedder, cache)
    with alone(at):
        wanted = Settings(embedder, model.key, chunking=chunking)
        try:
            store = Store.open(at)
            wanted = replace(wanted, width=store.settings.width)
        except Absent:
            store = None
        if store is None or store.settings != wanted:
            store = Store.create(at, replace(wanted, width=model.encoder.width))
        known = store.files()
        report.removed = sorted(set(known) - set(files))
        store.remove(report.removed)
        _fill(store, model, files, known, limit_mb, report, say)
    return report


def add(
    docs: Sequence[Path], at: str, limit_mb: float = LIMIT_MB, cache: Path | None = None, say: Say | None = None
) -> Report:
    """Put files and folders into an index that is there, beside what it holds."""
    report = Report()
    files = find(docs, report)
    Store.open(at)  # says that there is none, before a folder is made for the lock
    with alone(at):
        store, model = opened(at, cache)
        _fill(store, model, files, store.files(), limit_mb, report, say)
    return report


def remove(names: Sequence[str], at: str) -> Report:
    """Take files out, or all below a folder. Raises LuthierError for a name that stands for nothing in the index."""
    report = Report()
    Store.open(at)
    with alone(at):
        store = Store.open(at)
        known = store.files()
        for name in names:
            top = plain(Path(name))
            found = [file for file in known if plain(Path(file)).is_relative_to(top)]
            if not found:
                raise LuthierError(f"{name}: the index at {at} holds no such file or folder")
            report.removed += [file for file in found if file not in report.removed]
        store.remove(report.removed)
        store.tidy()
        report.chunks = store.count()
    return report


def opened(at: str, cache: Path | None = None) -> tuple[Store, Embedder]:
    """An index and the embedder that it was made with. Raises LuthierError where that is not the one installed."""
    store = Store.open(at)
    model = load_embedder(store.settings.embedder, cache)
    if model.key != store.settings.key:
        raise LuthierError(
            f"the index at {at} was made by {store.settings.key}, and {model.key} is here: build it anew"
        )
    return store, model


def _fill(
    store: Store, model: Embedder, files: dict[str, Path], known: dict[str, str], limit_mb: float, report: Report,
    say: Say | None,
) -> None:  # fmt: skip
    sizes = {name: _size(path) for name, path in files.items()}
    total, done, waiting = sum(sizes.values()), 0, 0
    digests: dict[str, str] = {}
    chunks: list[Chunk] = []

    def told(embedded: int, of: int) -> None:
        if say:
            say(done + waiting * embedded // of, total)

    def commit() -> None:
        nonlocal done, waiting
        if digests:
            store.replace(digests, chunks, model.passages([chunk.passage for chunk in chunks], told))
        digests.clear()
        chunks.clear()
        done, waiting = done + waiting, 0
        told(0, 1)

    for name, path in files.items():
        try:
            digest = _digest(path, store.settings) if sizes[name] <= limit_mb * 1e6 else ""
            if known.get(name) == digest:
                report.same.append(name)
            else:
                document = read_document(path, name, int(limit_mb * 1e6))
                if document.notes:
                    report.notes[name] = "; ".join(document.notes)
                chunks += chunked(document, store.settings.chunking)
                digests[name] = digest
                (report.changed if name in known else report.added).append(name)
        except (LuthierError, OSError) as error:
            report.problems[name] = str(error.strerror or error) if isinstance(error, OSError) else str(error)
        waiting += sizes[name]
        if len(chunks) >= GROUP or not chunks:
            commit()
    commit()
    gone = [name for name in report.problems if name in known and name not in report.removed]
    store.remove(gone)
    report.removed += gone
    store.tidy()
    report.chunks = store.count()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # gone since it was found: reading it says so
        return 0


def _digest(path: Path, settings: Settings) -> str:
    """What decides a file's chunks: its bytes and the index's settings."""
    found = hashlib.sha256(settings.rules.encode())
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()
