"""Who does what: workers on one comparison take pieces of work by a lock on a file, which the system gives back when
its holder dies.

A piece is done when its result is there. Nothing is handed out, so a worker that comes or goes changes no plan.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

ENDING = ".claim"
PAUSE = 0.1  # seconds between looks at what another worker does


@contextmanager
def locked(piece: Path) -> Iterator[bool]:
    """Whether the work in this folder is this process's for the length of the block; no other has it meanwhile."""
    piece.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(piece.parent / f".{piece.name}{ENDING}")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def share(pieces: Mapping[Path, Callable[[], object]], wait: bool, stop: Callable[[], bool] = bool) -> bool:
    """Do every piece without a result (the key, a file in the piece's own folder) that no other worker is at.

    What others are at is waited for, or not; no piece is begun once `stop` says so. Gives whether all results are
    there.
    """
    while left := {result: do for result, do in pieces.items() if not result.exists()}:
        took = False
        for result, do in left.items():
            if stop():
                return False
            with locked(result.parent) as mine:
                if mine and not result.exists():
                    do()
                    took = True
        if not took and not wait:
            return False
        if not took:
            time.sleep(PAUSE)
    return True


def forget_claims(folder: Path) -> None:
    """Remove the lock files below a folder where nothing runs any more."""
    for path in folder.rglob(f".*{ENDING}"):
        path.unlink(missing_ok=True)
