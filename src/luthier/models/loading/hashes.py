"""SHA-256 of whole files, remembered in the cache for as long as a file is not touched.

A file is known again by its path, size, inode and both times to the nanosecond; one that was changed a moment ago is
not remembered, since another change may leave the same times.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.io.files import read_record, write_json
from luthier.models.loading.bundled import cache_dir, sha256_of

SETTLED = 2.0  # seconds since the last change


def hashes(paths: Sequence[Path]) -> list[str]:
    """The SHA-256 of each file in hexadecimal; several are read at a time."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(hash_of, paths))


def hash_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    real = path.resolve()
    before = _state(real)
    kept = cache_dir() / "hashes" / f"{hashlib.sha256(str(real).encode()).hexdigest()[:32]}.json"
    with suppress(OSError, LuthierError):
        known = read_record(kept, "state", "sha256")
        if known["state"] == before:
            return str(known["sha256"])
    found = sha256_of(real)
    changed = max(real.stat().st_mtime_ns, real.stat().st_ctime_ns)
    if _state(real) == before and time.time_ns() - changed > SETTLED * 1e9:
        with suppress(OSError):
            write_json(kept, {"path": str(real), "state": before, "sha256": found})
    return found


def _state(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]
