"""NumPy arrays by name in a file, which is read an array at a time."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from luthier.io.files import damaged, replacing
from luthier.io.places import fetch, is_far

T = TypeVar("T")
Arrays = Mapping[str, NDArray[Any]]


class Computed(Mapping[str, NDArray[Any]]):
    """Arrays that are made when they are asked for, so that they need not be in memory together."""

    def __init__(self, names: Iterable[str], make: Callable[[str], NDArray[Any]]) -> None:
        self._names, self._make = tuple(names), make

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write them atomically, one after another, as `np.load` reads them."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as file:
        for name in arrays:
            # the time of writing would make other bytes of the same arrays
            with file.open(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), "w", force_zip64=True) as one:
                np.lib.format.write_array(one, np.asanyarray(arrays[name]), allow_pickle=False)


class Stored(Mapping[str, NDArray[Any]]):
    """What `write_arrays` wrote; an array is read when it is asked for. keep: how many of those asked for last stay.

    Raises LuthierError where the file is damaged.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        self.path, self._keep, self._here = path, keep, path
        self._held: dict[str, NDArray[Any]] = {}
        if is_far(path):  # one copy for as long as this is there
            self._copy = tempfile.TemporaryDirectory(prefix="luthier-")
            self._here = fetch(path, Path(self._copy.name))
        self._names = tuple(self._read(lambda found: found.files))

    def _read(self, read: Callable[[Any], T]) -> T:
        try:
            with np.load(self._here, allow_pickle=False) as found:
                return read(found)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise damaged(self.path, error) from None

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name in self._held:
            return self._held[name]
        if name not in self._names:
            raise KeyError(name)
        array: NDArray[Any] = self._read(lambda found: found[name])
        if self._keep:
            self._held = dict([*self._held.items(), (name, array)][-self._keep :])
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
