"""The header of a GGUF file: metadata and tensor table, read with every bound checked.

The file is foreign input. Each length in it is compared with what is left of the file before it is used, so a
truncated or corrupt file ends in a LuthierError that names the file and the offset, not in a hang or a huge
allocation. Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import math
import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from luthier.core.errors import LuthierError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_VERSIONS = (2, 3)
_MAX_DIMS = 4
_DEFAULT_ALIGNMENT = 32
_MAX_ALIGNMENT = 1 << 20
# The shortest possible entries: an empty key with a one-byte value; a nameless tensor without dimensions.
_MIN_METADATA_BYTES, _MIN_TENSOR_BYTES = 13, 24


@dataclass(frozen=True, slots=True)
class Array:
    """An array in the metadata. Its elements stay in the file: only their type and number are kept."""

    element_type: int
    length: int


Value = bool | int | float | str | Array


@dataclass(frozen=True, slots=True)
class Entry:
    """One metadata value and the bytes [start, end) of the file that hold it with its key."""

    value: Value
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where one tensor lies. `shape` is in torch's order (ggml's reversed); `start` is an offset in the file."""

    name: str
    shape: tuple[int, ...]
    ggml_type: int
    start: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Header:
    """All of a GGUF file but the tensors' data."""

    path: Path
    architecture: str
    metadata: dict[str, Entry]
    tensors: tuple[Tensor, ...]

    def integer(self, key: str) -> int | None:
        """The metadata's integer under `key`, or None if there is none or it is something else."""
        entry = self.metadata.get(key)
        return entry.value if entry is not None and type(entry.value) is int else None

    def length(self, key: str) -> int | None:
        """The number of elements of the array under `key`, or None if there is no such array."""
        entry = self.metadata.get(key)
        return entry.value.length if entry is not None and isinstance(entry.value, Array) else None


def read_header(path: Path) -> Header:
    """Read and check the header of the GGUF file `path` without reading tensor data.

    Raises:
        LuthierError: the file cannot be read, is no GGUF file of version 2 or 3, or is cut off or corrupt.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(path, data).header()
    except (OSError, ValueError) as error:  # mmap raises ValueError for an empty file
        raise LuthierError(f"{path}: cannot be read as a GGUF file: {error}") from error


class _Reader:
    """A cursor over the mapped file."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path = path
        self.data = data
        self.size = len(data)
        self.at = 0

    def header(self) -> Header:
        tensor_count, metadata_count = self._start()
        metadata: dict[str, Entry] = {}
        for _ in range(metadata_count):
            start = self.at
            key = self._string()
            if key in metadata:
                raise self._broken(f"the metadata key {key!r} is there twice", start)
            metadata[key] = Entry(self._value(self._number("I")), start, self.at)
        architecture = metadata.get("general.architecture")
        if architecture is None or not isinstance(architecture.value, str) or not architecture.value:
            raise LuthierError(f"{self.path}: its metadata does not name an architecture (general.architecture)")
        table = [self._tensor() for _ in range(tensor_count)]
        if len({name for name, *_ in table}) < len(table):
            raise self._broken("two tensors have the same name", self.at)
        base = self._aligned(metadata.get("general.alignment"))
        tensors = tuple(self._placed(base, *row) for row in table)
        return Header(self.path, architecture.value, metadata, tensors)

    def _start(self) -> tuple[int, int]:
        """Check magic and version. Returns the numbers of tensors and of metadata entries."""
        if self.data[:4] != b"GGUF":
            raise LuthierError(f"{self.path}: not a GGUF file (it does not start with the letters GGUF)")
        self.at = 4
        version = self._number("I")
        if version not in _VERSIONS:
            other = " (perhaps written for a big-endian machine)" if version & 0xFFFF == 0 else ""
            raise LuthierError(
                f"{self.path}: GGUF version {version}{other}; versions 2 and 3 can be read. "
                "Convert the model again with a current llama.cpp."
            )
        tensor_count, metadata_count = self._number("Q"), self._number("Q")
        for what, count, least in (
            ("tensors", tensor_count, _MIN_TENSOR_BYTES),
            ("metadata entries", metadata_count, _MIN_METADATA_BYTES),
        ):
            if count * least > self.size - self.at:
                raise self._broken(f"it announces {count} {what}, more than fit", self.at)
        return tensor_count, metadata_count

    def _broken(self, what: str, offset: int) -> LuthierError:
        return LuthierError(
            f"{self.path}: {what} (at byte {offset} of {self.size}): the file is cut off or damaged. "
            "Download or convert it again."
        )

    def _skip(self, count: int, what: str) -> int:
        """Move `count` bytes on. Returns where they start."""
        start = self.at
        if count > self.size - start:
            raise self._broken(f"{what} of {count} bytes does not fit", start)
        self.at = start + count
        return start

    def _number(self, code: str) -> int:
        start = self._skip(struct.calcsize("<" + code), "a number")
        value: int = struct.unpack_from("<" + code, self.data, start)[0]
        return value

    def _string(self) -> str:
        length = self._number("Q")
        start = self._skip(length, "a text")
        try:
            return self.data[start : self.at].decode()
        except UnicodeDecodeError as error:
            raise self._broken("a text is not UTF-8", start) from error

    def _value(self, kind: int) -> Value:
        if kind in _SCALARS:
            return self._number(_SCALARS[kind])
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            raise self._broken(f"unknown metadata type {kind}", self.at - 4)
        element, length = self._number("I"), self._number("Q")
        if element in _SCALARS:
            self._skip(length * struct.calcsize("<" + _SCALARS[element]), "an array")
        elif element == _STRING:
            self._skip_strings(length)
        else:
            raise self._broken(f"unknown array type {element}", self.at - 12)
        return Array(element, length)

    def _skip_strings(self, count: int) -> None:
        """Walk over `count` texts. A vocabulary has 100,000 of them, so this is the one loop made for speed."""
        if count * 8 > self.size - self.at:
            raise self._broken(f"an array of {count} texts does not fit", self.at)
        unpack: Callable[..., tuple[int]] = struct.Struct("<Q").unpack_from
        data, at, last = self.data, self.at, self.size - 8
        for _ in range(count):
            if at > last:
                raise self._broken("an array of texts does not fit", at)
            at += 8 + unpack(data, at)[0]
        if at > self.size:
            raise self._broken("an array of texts does not fit", self.at)
        self.at = at

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        """One row of the tensor table: name, shape, type, offset from the start of the data."""
        start = self.at
        name = self._string()
        dims = self._number("I")
        if not 1 <= dims <= _MAX_DIMS:
            raise self._broken(f"the tensor {name!r} has {dims} dimensions", start)
        shape = tuple(reversed([self._number("Q") for _ in range(dims)]))
        return name, shape, self._number("I"), self._number("Q")

    def _aligned(self, entry: Entry | None) -> int:
        """Where the tensors' data starts."""
        alignment = _DEFAULT_ALIGNMENT if entry is None else entry.value
        if type(alignment) is not int or not 8 <= alignment <= _MAX_ALIGNMENT or alignment % 8:
            raise self._broken(f"general.alignment is {alignment!r}", self.at if entry is None else entry.start)
        return -(-self.at // alignment) * alignment

    def _placed(self, base: int, name: str, shape: tuple[int, ...], kind: int, offset: int) -> Tensor:
        """The tensor with its place in the file, checked to lie inside it."""
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

        try:
            block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
        except (ValueError, KeyError) as error:
            raise self._broken(f"the tensor {name!r} has the unknown type {kind}", self.at) from error
        if 0 in shape or shape[-1] % block:
            raise self._broken(f"the tensor {name!r} has the shape {shape}, not in blocks of {block}", self.at)
        nbytes = math.prod(shape) // block * block_bytes
        if base + offset + nbytes > self.size:
            raise self._broken(f"the tensor {name!r} of {nbytes} bytes does not fit", base + offset)
        return Tensor(name, shape, kind, base + offset, nbytes)
