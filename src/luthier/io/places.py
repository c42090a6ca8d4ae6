"""Files and folders by their path, or by an address that fsspec knows: s3://bucket/folder, gs://…, abfs://…

An address behaves as a path does (universal_pathlib). What differs is here: copies of files for what reads files alone,
links, whole folders that go. Keys and endpoints are taken from where each storage's own tools look for them (for S3 the
AWS_… variables and files); an address of ours holds none.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from luthier.core.errors import LuthierError

# a file that is put there is whole or absent; elsewhere another name is given first
OBJECTS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "hf", "memory"}
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def is_address(name: object) -> bool:
    """Whether a name is an address rather than a path."""
    return _ADDRESS.match(str(name)) is not None


def place(name: str | Path, base: Path | None = None) -> Path:
    """The path of a name, or what behaves as one where it is an address. base: what a path is relative to.

    Raises LuthierError where what reads such addresses is not installed, and for those that nothing reads.
    """
    found = _ADDRESS.match(str(name))
    if found is None:
        return name if isinstance(name, Path) and base is None else (base or Path()) / name
    if found[1] == "file":
        return Path(str(name).removeprefix("file://"))
    if importlib.util.find_spec("upath") is None:
        raise LuthierError(f"{name}: addresses need universal-pathlib: pip install 'luthier[remote]'")
    from upath import UPath

    try:
        made = UPath(name, use_listings_cache=False)  # other processes write there, too
        _ = made.fs
    except ImportError as error:
        raise LuthierError(f"{name}: {error}") from None
    except ValueError as error:
        raise LuthierError(f"{name}: nothing reads such addresses: {error}") from None
    return cast(Path, made)


def is_far(path: Path) -> bool:
    """Whether it lies at an address."""
    return not isinstance(path, Path)


@contextmanager
def local(path: Path) -> Iterator[Path]:
    """The file itself, or a copy of the same name here for as long. Raises OSError."""
    if not is_far(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="luthier-") as folder:
        copy = Path(folder) / path.name
        far(path).get_file(_inner(path), str(copy))
        yield copy


def put(copy: Path, path: Path) -> None:
    """A file of here to an address: it is there as a whole or not at all. Raises OSError."""
    system, inner = far(path), _inner(path)
    if set(_protocols(system)) & OBJECTS:
        system.put_file(str(copy), inner)
        return
    system.makedirs(system._parent(inner), exist_ok=True)
    first = f"{system._parent(inner)}/.{path.name}.{os.getpid()}.tmp"
    system.put_file(str(copy), first)
    system.mv(first, inner)


def link(path: Path, to: Path) -> None:
    """The same file by another name: a link, or a copy where there are none; at an address made there, not by us."""
    if is_far(to):
        far(to).copy(_inner(path), _inner(to))
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, to)
    except OSError:  # a file system without links
        shutil.copyfile(path, to)


def remove(folder: Path) -> None:
    """A folder with all that is in it, if it is there."""
    if not is_far(folder):
        shutil.rmtree(folder, ignore_errors=True)
    elif folder.exists():
        far(folder).rm(_inner(folder), recursive=True)


def mark(path: Path) -> list[Any]:
    """By which it is seen whether a file has changed since: size and time here, what its storage says elsewhere."""
    if not is_far(path):
        about = path.stat()
        return [about.st_size, about.st_mtime_ns]
    told = far(path).info(_inner(path))
    by = next((str(told[key]) for key in MARKS if told.get(key)), "")
    return [told["size"], by]


MARKS = ("ETag", "etag", "md5Hash", "content_md5", "LastModified", "last_modified", "mtime", "updated", "created")
CONTENTS = MARKS[:4]  # what is the same for the same bytes, or changes with them


def told_contents(path: Path) -> str:
    """What a storage says that a file's contents are known by; "" for one here, or where it says nothing."""
    told = far(path).info(_inner(path)) if is_far(path) else {}
    return next((f"{told['size']} {told[key]}" for key in CONTENTS if told.get(key)), "")


def far(path: Path) -> Any:
    """The file system of an address."""
    return cast(Any, path).fs


def _inner(path: Path) -> str:
    return str(cast(Any, path).path)


def _protocols(system: Any) -> tuple[str, ...]:
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


@contextmanager
def said(*paths: Path) -> Iterator[None]:
    """Faults of a storage's library as LuthierError with the address: no keys, no such bucket, nothing answers."""
    addresses = ", ".join(str(path) for path in paths if is_far(path))
    try:
        yield
    except LuthierError:
        raise
    except Exception as error:
        kind = type(error).__module__.split(".")[0]
        if not addresses or (kind in ("builtins", "luthier", "pyarrow") and not isinstance(error, OSError)):
            raise
        raise LuthierError(f"{addresses}: {' '.join(str(error).split()) or type(error).__name__}") from None
