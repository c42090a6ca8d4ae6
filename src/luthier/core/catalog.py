"""Which methods there are: a method's name is its file's name, its summary the first line of its docstring.

A new file in `patches/`, `direct/` or `objectives/` is a new entry, and so is another package's (`core.plugins`).
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from luthier.core import plugins
from luthier.core.errors import LuthierError

Kind = Literal["patches", "direct", "objectives"]
FAMILIES: dict[str, tuple[Kind, ...]] = {  # names that stand for all methods of rooms
    "direct": ("direct",), "peft": ("patches",), "all": ("direct", "patches"),
}  # fmt: skip
# one of each kind, where nobody names any, and with documents what learns them
DEFAULT = ("zero_shot", "majority", "few_shot", "retrieval", "features", "lora", "full")
WITH_DOCUMENTS = "lora/lm"
ALIASES = {"lora_docs": ("lora", "lm")}  # methods of earlier versions: patch and objective


@dataclass(frozen=True)
class Entry:
    """A method as the list shows it. needs: packages of an extra that it imports. member: of its room."""

    name: str
    kind: Kind
    summary: str
    needs: tuple[str, ...]
    member: plugins.Plugin


def entries(*kinds: Kind) -> dict[str, Entry]:
    """Every method of these rooms by name, in the rooms' order."""
    found = {}
    for kind in kinds:
        for member in plugins.members(kind).values():
            needs = tuple(member.constants.get("extras", ()))
            found[member.name] = Entry(member.name, kind, member.summary, needs, member)
    return found


def methods() -> dict[str, Entry]:
    """What `luthier compare` can try: direct methods first, then patches."""
    return entries("direct", "patches")


def suggest(wrong: str, known: Iterable[str]) -> str:
    """', did you mean …?' where something known is close, else the list of what is known."""
    known = list(known)
    close = difflib.get_close_matches(wrong, known, 1, 0.5)
    return f", did you mean {close[0]}?" if close else f"; known: {', '.join(known)}"


def find(name: str, *kinds: Kind) -> Entry:
    """The entry of that name; an unknown one is an error that suggests the right one."""
    known = entries(*kinds)
    if name not in known:
        what = "objective" if kinds == ("objectives",) else "method"
        raise LuthierError(f"there is no {what} {name!r}{suggest(name, known)}")
    return known[name]


def lacking(entry: Entry) -> list[str]:
    """The packages that a method needs and that are not installed."""
    return [n for n in entry.needs if importlib.util.find_spec(n) is None]


def load(entry: Entry) -> type[Any]:
    """The class of a method, imported now; a missing package of an extra is said with the command that installs it."""
    if missing := lacking(entry):
        raise LuthierError(f"{entry.name} needs {', '.join(missing)}: pip install {' '.join(missing)}")
    return entry.member.load("METHOD")  # type: ignore[no-any-return]
