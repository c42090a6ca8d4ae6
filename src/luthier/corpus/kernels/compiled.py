"""How kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """The function as machine code, made on first use (seconds) and kept on disk. It sees arrays and numbers only."""
    from numba import njit

    return cast(F, njit(cache=True)(function))
