"""NumPy arrays by name in a file, which is read an array at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.io.files import damaged, replacing

Arrays = Mapping[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write them atomically."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **dict(arrays))


class Stored(Mapping[str, NDArray[Any]]):
    """What `write_arrays` wrote; each array is read when it is asked for, and not kept. Raises LuthierError where the
    file is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with np.load(path, allow_pickle=False) as found:
                self._names = tuple(found.files)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise damaged(path, error) from None

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._names:
            raise KeyError(name)
        try:
            with np.load(self.path, allow_pickle=False) as found:
                array: NDArray[Any] = found[name]
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise damaged(self.path, error) from None
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
