"""Functions that go on as they did while a test looks on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

Given = ParamSpec("Given")
Gives = TypeVar("Gives")


def watched(real: Callable[Given, Gives], note: Callable[..., Any]) -> Callable[Given, Gives]:
    """The function, before whose every call `note` is given the same."""

    def both(*given: Given.args, **named: Given.kwargs) -> Gives:
        note(*given, **named)
        return real(*given, **named)

    return both
