"""Packed files that are damaged: what reading them raises, and how to lose little of what stands before. A helper."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable
from typing import IO

FAULTS = (OSError, EOFError, zlib.error, lzma.LZMAError)


def reading(file: IO[bytes]) -> Callable[[int], bytes]:
    """Reads on, as much as is there: `read` throws away what it unpacked before a fault."""
    some: Callable[[int], bytes] = getattr(file, "read1", file.read)
    return some
