"""Tokens on disk: flat files that any program maps into memory.

DIR/00000.tokens   token ids of all documents, one after another; little-endian, `dtype` of tokens.json
DIR/00000.ends     of each document in it the token behind its last: little-endian 64-bit unsigned integers
DIR/tokens.json    {"dtype": "uint16" or "uint32", "vocabulary": …, "end": the token that ends a document, "shards":
                   [{"tokens": …, "documents": …}, …], …}, written last

np.memmap("DIR/00000.tokens", "<u2")[:100]        # with NumPy alone
Tokens(Path("DIR"))[10**6 : 10**6 + 2048]         # from any token on, across shards
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.io.files import damaged, read_record, replacing, write_json
from luthier.io.places import fetch, is_far, unlink

ABOUT, TOKENS, ENDS = "tokens.json", "tokens", "ends"
TYPES: dict[str, np.dtype[Any]] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
OPEN = 16  # shards that stay mapped


def dtype_of(vocabulary: int) -> str:
    """The narrower of the types that hold every id."""
    return "uint16" if vocabulary <= 1 << 16 else "uint32"


def vocabulary_key(vocabulary: Mapping[str, int]) -> str:
    """By which it is seen whether a model's tokenizer gives the ids that a stream holds."""
    told = "\n".join(f"{number} {token}" for token, number in sorted(vocabulary.items(), key=lambda item: item[1]))
    return hashlib.blake2b(told.encode("utf-8", "replace"), digest_size=8).hexdigest()


def write_shard(folder: Path, at: int, ids: NDArray[Any], ends: NDArray[Any], dtype: str) -> None:
    """Write one shard, its `ends` last: a shard that has them is whole. Raises OSError."""
    for name, values in ((TOKENS, ids.astype(TYPES[dtype])), (ENDS, ends.astype("<u8"))):
        with replacing(folder / f"{at:05d}.{name}") as temporary:
            values.tofile(temporary)


def finish(folder: Path, shards: int, dtype: str, **about: Any) -> None:
    """Write what is to be known of all shards."""
    sizes = [{"tokens": _size(folder, at, TOKENS) // TYPES[dtype].itemsize, "documents": _size(folder, at, ENDS) // 8}
             for at in range(shards)]  # fmt: skip
    write_json(folder / ABOUT, {"dtype": dtype, **about, "shards": sizes})


def _size(folder: Path, at: int, name: str) -> int:
    return (folder / f"{at:05d}.{name}").stat().st_size


def whole(folder: Path) -> bool:
    """Whether all shards are there and as long as told; else what is not goes, so that it is made anew."""
    if not (folder / ABOUT).exists():
        return False
    found = read_record(folder / ABOUT, "dtype", "shards")
    bad = list(_faults(folder, found["shards"], TYPES[found["dtype"]].itemsize))
    for path, _ in bad:
        unlink(path.with_suffix(f".{ENDS}"))
    if bad:
        unlink(folder / ABOUT)
    return not bad


def _faults(folder: Path, shards: Sequence[Any], width: int) -> Iterator[tuple[Path, str]]:
    """Files that are not as long as told."""
    for at, told in enumerate(shards):
        for name, size in ((TOKENS, told["tokens"] * width), (ENDS, told["documents"] * 8)):
            path = folder / f"{at:05d}.{name}"
            if not path.exists() or path.stat().st_size != size:
                yield path, f"{path.stat().st_size if path.exists() else 'no'} bytes where {size} are told"


class Tokens(Sequence[int]):
    """All tokens of a folder, read where they are asked for. Raises LuthierError where one is not as long as told."""

    def __init__(self, folder: Path) -> None:
        found = read_record(folder / ABOUT, "dtype", "shards")
        self.folder, self.about, self.dtype = folder, found, TYPES[found["dtype"]]
        self.counts = np.array([shard["tokens"] for shard in found["shards"]], np.int64)
        self.documents = np.array([shard["documents"] for shard in found["shards"]], np.int64)
        for path, why in _faults(folder, found["shards"], self.dtype.itemsize):
            raise damaged(path, why)
        self.first = np.concatenate([[0], np.cumsum(self.counts)])
        self._open = lru_cache(OPEN)(self._mapped)
        self._copies: tempfile.TemporaryDirectory[str] | None = None

    def _mapped(self, at: int) -> NDArray[Any]:
        if not self.counts[at]:
            return np.zeros(0, self.dtype)
        path = self.folder / f"{at:05d}.{TOKENS}"
        if is_far(path):  # documents are read in any order: a copy of each shard stays as long as this does
            self._copies = self._copies or tempfile.TemporaryDirectory(prefix="luthier-")
            copy = Path(self._copies.name) / path.name
            path = copy if copy.exists() else fetch(path, copy.parent)
        return np.memmap(path, self.dtype, "r")

    def _check(self, at: int) -> None:
        """Raise LuthierError where a shard went or was cut short since: a map of it would end this process."""
        path, size = self.folder / f"{at:05d}.{TOKENS}", int(self.counts[at]) * self.dtype.itemsize
        if not is_far(path) and not (path.exists() and path.stat().st_size >= size):
            raise damaged(path, "it went or was cut short while it was read")

    def ends(self, at: int) -> NDArray[np.int64]:
        """Of each document of a shard the token behind its last, from the shard's beginning."""
        return np.frombuffer((self.folder / f"{at:05d}.{ENDS}").read_bytes(), "<u8").astype(np.int64)

    def __len__(self) -> int:
        return int(self.first[-1])

    def __getitem__(self, key: Any) -> Any:
        """A token, or those of a slice without a step, (tokens)."""
        if not isinstance(key, slice):
            at = range(len(self))[key]
            return int(self[at : at + 1][0])
        start, stop, step = key.indices(len(self))
        if step != 1:
            raise IndexError("tokens are read in a row: a slice has no step")
        return self.read(start, max(stop - start, 0))

    def read(self, start: int, count: int) -> NDArray[Any]:
        """So many tokens from there on, (tokens); fewer at the end."""
        out, count = [np.zeros(0, self.dtype)], min(count, len(self) - start)
        at = int(np.searchsorted(self.first, start, "right")) - 1
        while count > 0:
            begin = start - int(self.first[at])
            self._check(at)
            part = self._open(at)[begin : begin + count]
            out.append(part)
            start, count, at = start + len(part), count - len(part), at + 1
        return np.concatenate(out)
