"""Files and folders by their path, or by an address of an object store: s3://bucket/folder, gs://…, abfs://…

An address behaves as a path does (universal_pathlib). What differs is here, since fsspec takes * ? [ in any name for a
pattern, and its paths are sorted otherwise than those of here: listing, copying, linking and removing. Keys and
endpoints are taken from where each storage's own tools look for them (for S3 the AWS_… variables and files); an address
with a password in it is refused.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import unquote, urlsplit

from luthier.core.errors import LuthierError

T = TypeVar("T")
STORES = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory")  # a file that is put there is whole or absent
LIBRARIES = ("botocore", "aiobotocore", "aiohttp", "s3fs", "gcsfs", "google", "adlfs", "azure")  # whose faults are told
AT_ONCE = 16  # requests
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:(/|:\S*://)")


def is_address(name: object) -> bool:
    """Whether a name is an address, perhaps a mistaken one (s3:/bucket), rather than a path."""
    text = str(name)
    return _ADDRESS.match(text) is not None and ("://" in text or not Path(text).exists())


def place(name: str | Path, base: Path | None = None) -> Path:
    """The path of a name, or what behaves as one where it is an address. base: what a path is relative to.

    Raises LuthierError where what reads such addresses is not installed, and for those that nothing reads.
    """
    if not isinstance(name, str) or not is_address(name):
        return name if isinstance(name, Path) and base is None else (base or Path()) / name
    parts = urlsplit(name)
    shown = f"{parts.scheme}://…@{parts.hostname}" if "@" in parts.netloc and parts.scheme.lower() != "abfss" else name
    if shown != name:
        raise LuthierError(f"{shown}: no keys in an address: they are taken from where the storage's own tools look")
    if parts.scheme.lower() == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    if parts.scheme.lower() not in STORES or not name[len(parts.scheme) :].startswith("://") or not parts.netloc:
        raise LuthierError(f"{name}: an address is one of {', '.join(f'{kind}://' for kind in STORES[:-1])}, or a path")
    if importlib.util.find_spec("upath") is None:
        raise LuthierError(f"{name}: addresses need universal-pathlib: pip install 'luthier[remote]'")
    from upath import UPath

    try:
        made = UPath(
            f"{parts.scheme.lower()}{name[len(parts.scheme) :]}", use_listings_cache=False
        )  # others write, too
        _ = made.fs
    except ImportError as error:
        raise LuthierError(f"{name}: {error}") from None
    return cast(Path, made)


def is_far(path: Path) -> bool:
    """Whether it lies at an address."""
    return not isinstance(path, Path)


def name_of(path: Path) -> str:
    """Its last part; a bucket's name for the bucket itself."""
    return path.name or _inner(path).strip("/") if is_far(path) else path.name


def files(top: Path) -> list[Path]:
    """All files below a folder but hidden ones, in an order that is the same wherever it lies; a file itself.

    Links to folders are not followed.
    """
    if is_far(top):
        inner = _inner(top)
        found = [name for name, about in far(top).find(inner, detail=True).items() if _is_file(name, about)]
        inside = {tuple(name[len(inner) :].strip("/").split("/")): name for name in found}
        if list(inside) == [("",)]:
            return [top]
    else:
        if top.is_file():
            return [top]
        inside = {path.relative_to(top).parts: str(path) for path in top.rglob("*") if path.is_file()}
    return [top.joinpath(*parts) for parts in sorted(inside) if not any(part.startswith(".") for part in parts)]


def members(folder: Path) -> list[str]:
    """Names of what lies in a folder, sorted; empty where it is not there."""
    if not is_far(folder):
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    inner = _inner(folder).rstrip("/")
    try:
        found = far(folder).ls(inner, detail=True)
    except FileNotFoundError:
        return []
    names = (about["name"].rstrip("/")[len(inner) :].strip("/") for about in found)
    return sorted(name for name in names if name)  # a folder made by hand is listed in itself


def _is_file(name: str, about: dict[str, Any]) -> bool:
    return about["type"] == "file" and not name.endswith("/")


@contextmanager
def local(path: Path) -> Iterator[Path]:
    """The file itself, or a copy of the same name here for as long. Raises OSError."""
    if not is_far(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="luthier-") as folder:
        yield fetch(path, Path(folder))


def fetch(path: Path, folder: Path) -> Path:
    """A copy of the same name in a folder of here."""
    copy = folder / path.name
    far(path).get_file(_inner(path), str(copy))
    return copy


def put(copy: Path, path: Path) -> None:
    """A file of here to an address: it is there as a whole or not at all. Raises OSError."""
    far(path).put_file(str(copy), _inner(path))


def link(path: Path, to: Path) -> None:
    """The same file by another name: a link, or a copy where there are none; at an address made there, not by us."""
    if is_far(to):
        far(to).cp_file(_inner(path), _inner(to))
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, to)
    except OSError:  # a file system without links
        shutil.copyfile(path, to)


def unlink(path: Path) -> None:
    """A file that goes, if it is there."""
    if not is_far(path):
        path.unlink(missing_ok=True)
    elif far(path).exists(_inner(path)):
        far(path).rm_file(_inner(path))


def remove(folder: Path) -> None:
    """A folder with all that is in it, if it is there."""
    if is_far(folder):
        system = far(folder)
        each(system.rm_file, system.find(_inner(folder)))
    else:
        shutil.rmtree(folder, ignore_errors=True)


def each(do: Callable[[Any], T], things: Iterable[Any]) -> list[T]:
    """Several requests at once, their answers in order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(do, things))


def mark(path: Path) -> list[Any]:
    """By which it is seen whether a file has changed since: size and time here, what its storage says elsewhere.

    None in the second place: not even that can be told.
    """
    if not is_far(path):
        about = path.stat()
        return [about.st_size, about.st_mtime_ns]
    told = far(path).info(_inner(path))
    return [told["size"], next((str(told[key]) for key in MARKS if told.get(key)), None)]


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


def is_fault(error: BaseException) -> bool:
    """Whether a storage's library raised it: no keys, no such bucket, nothing answers."""
    return type(error).__module__.split(".")[0] in LIBRARIES


@contextmanager
def said(*paths: Path) -> Iterator[None]:
    """Faults of a storage as LuthierError with the addresses that are at work."""
    addresses = ", ".join(str(path) for path in paths if is_far(path))
    try:
        yield
    except Exception as error:
        if not addresses or not (is_fault(error) or isinstance(error, OSError)):
            raise
        raise LuthierError(f"{addresses}: {' '.join(str(error).split()) or type(error).__name__}") from None
