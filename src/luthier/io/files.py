"""Files that are either whole or absent: temporary name, fsync, rename."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.io.places import is_far, members, put

LOCK = ".lock"  # held by the process that writes a folder's run, comparison or study


def sync_folder(folder: Path) -> None:
    """Make a rename in the folder durable; systems that cannot open folders are left alone."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; what is written there takes its place at the end, or is removed on an error.

    Where `path` is an address, it lies here and is put there at the end.
    """
    if is_far(path):
        with tempfile.TemporaryDirectory(prefix="luthier-") as folder:
            copy = Path(folder) / path.name
            copy.touch()
            yield copy
            put(copy, path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; NaN is refused, since other readers refuse it."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises LuthierError where it is damaged."""
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise damaged(path, error) from None


def read_record(path: Path, *keys: str) -> dict[str, Any]:
    """Read a JSON object that has these keys. Raises LuthierError where it is damaged."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise damaged(path, "not a JSON object")
    if missing := [key for key in keys if key not in value]:
        raise damaged(path, f"without {', '.join(missing[:3])}")
    return value


def from_yaml(text: str) -> Any:
    """The value of a YAML text. Raises ValueError for whatever its parser may raise (2024-13-45, !!bool x, [[[[…)."""
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None


def read_yaml(path: Path) -> Any:
    """The value of a YAML file. Raises LuthierError with the file and what is wrong with it."""
    try:
        return from_yaml(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise LuthierError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise LuthierError(f"{path}: {error}") from None


def front_matter(path: Path) -> dict[str, Any]:
    """The YAML table between `---` lines at the head of a card (README.md); empty where there is none that reads."""
    try:
        head = re.match(r"\ufeff?---[ \t]*\r?\n(.*?)\n---", path.read_text("utf-8", errors="replace"), re.DOTALL)
        found = from_yaml(head[1]) if head else None
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def damaged(path: Path, why: object) -> LuthierError:
    """What to say about a file of ours that something else has changed."""
    return LuthierError(f"{path}: damaged ({why}): remove it and give the same command again")


def forget(folder: Path, *names: str) -> None:
    """Remove files and folders of a run that did not begin, and the folder itself if nothing else is in it."""
    for name in names:
        shutil.rmtree(folder / name, ignore_errors=True)
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def read_tensors(path: Path) -> dict[str, Any]:
    """Read safetensors. Raises LuthierError where the file is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, FileNotFoundError) as error:
        raise damaged(path, error) from None


def write_tensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write safetensors atomically. Raises OSError when the disk is full, as other writers do."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        try:
            save_file(whole, temporary, dict(metadata or {}) or None)
        except SafetensorError as error:
            found = re.search(r"\(os error (\d+)\)", str(error))  # all that it says about the cause
            if found is None:
                raise
            raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from None


def held(lock: Path) -> bool:
    """Whether another process holds the lock that `alone` takes: it is at work there."""
    from filelock import FileLock, Timeout

    lock = _here(lock)
    if not lock.exists():
        return False
    taken = FileLock(lock)
    try:
        taken.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # a folder of somebody else's: not known, and no reason to fail
        return False
    taken.release()
    return False


def _here(lock: Path) -> Path:
    """Where a lock lies: the file itself, or one of this machine that stands for one at an address."""
    if not is_far(lock):
        return lock
    name = hashlib.blake2b(str(lock).encode(), digest_size=12).hexdigest()
    return Path(tempfile.gettempdir()) / f"luthier-{os.getuid()}" / f"{name}.lock"


@contextlib.contextmanager
def alone(lock: Path, said: str) -> Iterator[None]:
    """Hold a lock on a file, which the system gives back when this process dies. The file stays: another process may
    be about to hold it. A folder made for it goes again where nothing else came into it. For one at an address it lies
    on this machine: processes of others are not known of, and what two of them write there is the same.

    Raises LuthierError: `said` where another process holds it, and where the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = _here(lock)
    made = [folder for folder in lock.parents if not folder.exists()]
    held = FileLock(lock)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held.acquire(timeout=0)
    except Timeout:
        raise LuthierError(said) from None
    except OSError as error:
        raise LuthierError(f"{lock.parent}: nothing can be written there: {error.strerror or error}") from None
    try:
        yield
    finally:
        held.release()
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def is_taken(folder: Path, mark: str, what: str) -> bool:
    """Whether a folder holds such work already, known by the file `mark`; a free one is none or empty.

    Raises LuthierError for a file, and for a folder that holds something else. what: as in "holds no run".
    """
    if folder.is_file():
        raise LuthierError(f"{folder} is a file: choose another --out")
    if (folder / mark).exists():
        return True
    if any(name != LOCK for name in members(folder)):
        raise LuthierError(f"{folder} is not empty and holds no {what}: choose another --out")
    return False
