"""Work that ends in the middle."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("protego")


@contextmanager
def ending(owner: Any, name: str, when: Callable[..., bool]) -> Iterator[None]:
    inner = getattr(owner, name)
    with pytest.MonkeyPatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(owner, name, lambda *given: sys.exit() if when(*given) else inner(*given))
        yield
