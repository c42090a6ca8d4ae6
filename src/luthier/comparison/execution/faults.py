"""What an error in a worker means: whose fault it is, what is said of it, and what a full disk takes back."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from luthier.comparison.results import ERRORS, log_error
from luthier.core.errors import LuthierError
from luthier.core.phrases import say


def caught(error: BaseException) -> BaseException:
    """The error, unless it is the user's wish to end: that is raised."""
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        raise error
    return error


def failure(folder: Path, place: Path, error: BaseException) -> str:
    """Why a trial failed, in a line; where the disk is full, what it left half done makes room."""
    if not of_the_disk(error):
        return log_error(place / ERRORS, folder, error)
    for piece in (*place.glob("seed-*"), *place.glob("search/*")):
        if not any((piece / name).exists() for name in ("eval.json", "result.json")):
            shutil.rmtree(piece, ignore_errors=True)
    return say("said_refused_disk", reason=str(error))


def of_the_disk(error: BaseException) -> bool:
    """Whether the results could not be written: no fault of the method's. safetensors says it in words only."""
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    return getattr(error, "errno", None) in numbers or any(f"(os error {n})" in str(error) for n in numbers)


def last_words(folder: Path, error: Exception) -> str:
    """Why the comparison in this folder cannot go on, in a line for people; an error of ours goes to `worker.log`."""
    if isinstance(error, LuthierError):
        return str(error)
    if of_the_disk(error):
        return f"{folder}: the disk is full or read-only; make room and give the same command again"
    if isinstance(error, OSError):
        return f"{error.filename or folder}: {error.strerror or error}"
    log = log_error(folder / "worker.log", folder, error)
    return f"{folder}: the comparison stopped by an error in Luthier: {log}"
