"""Statistics of texts, each a column that is computed once. A file is a group of them; nothing is registered.

A member sets `SIGNALS`: name -> what it says, and `LEVEL`: what a row of the column is (document, line, paragraph or
sentence), or a tuple of these. It has a function of each name: `name(texts)` gives (texts), one value a document,
`name(texts, ranges)` gives (pieces); finite numbers, 0 where there is nothing to count. What several need is found once
by `Texts`. Another package adds a group by an entry point of `luthier.signals`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from luthier.core import plugins
from luthier.core.errors import LuthierError

LEVELS = ("document", "paragraph", "line", "sentence")


@dataclass(frozen=True)
class Signal:
    """A statistic. level: what it is one value of. about: what it says, in a line."""

    name: str
    level: str
    about: str
    group: plugins.Plugin

    @property
    def compute(self) -> Callable[..., Any]:
        """The function: of texts, and of the pieces' ranges where it is one of pieces."""
        function: Callable[..., Any] = self.group.load(self.name)
        return function


@cache
def known() -> dict[tuple[str, str], Signal]:
    """All signals by level and name."""
    out: dict[tuple[str, str], Signal] = {}
    for group in plugins.members("signals").values():
        levels = group.constants.get("LEVEL", "document")
        for level in (levels,) if isinstance(levels, str) else levels:
            for name, about in group.constants.get("SIGNALS", {}).items():
                out[level, name] = Signal(name, level, about, group)
    return out


def find(level: str, name: str) -> Signal:
    """A signal. Raises LuthierError with those that are nearest where there is none."""
    import difflib

    if found := known().get((level, name)):
        return found
    names = sorted(n for at, n in known() if at == level)
    near = difflib.get_close_matches(name, names, 3) or names
    raise LuthierError(f"no signal {name} of a {level}: {', '.join(near)}")
