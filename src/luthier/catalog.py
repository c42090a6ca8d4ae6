"""Which methods there are: a method's name is its file's name, its summary the first line of its docstring.

Nothing is registered anywhere: a new file in `patches/`, `direct/` or `objectives/` is a new entry. Listing reads the
files as text, so it needs neither torch nor the methods' own dependencies.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from luthier.errors import LuthierError

Kind = Literal["patches", "direct", "objectives"]
HERE = Path(__file__).parent
FAMILIES: dict[str, tuple[Kind, ...]] = {  # names that stand for all methods of rooms
    "direct": ("direct",), "peft": ("patches",), "all": ("direct", "patches"),
}  # fmt: skip
# one of each kind, where nobody names any, and with documents what learns them
DEFAULT = ("zero_shot", "majority", "few_shot", "retrieval", "features", "lora", "full")
WITH_DOCUMENTS = "lora/lm"
ALIASES = {"lora_docs": ("lora", "lm")}  # methods of earlier versions: patch and objective


@dataclass(frozen=True)
class Entry:
    """A method as the list shows it. needs: packages of an extra that it imports."""

    name: str
    kind: Kind
    summary: str
    needs: tuple[str, ...]


def _entry(path: Path, kind: Kind) -> Entry:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said: dict[str, tuple[str, ...]] = {"extras": ()}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in said:
            said[node.targets[0].id] = tuple(ast.literal_eval(node.value))
    return Entry(path.stem, kind, (ast.get_docstring(tree) or "").split("\n")[0], said["extras"])


def entries(*kinds: Kind) -> dict[str, Entry]:
    """Every method of these rooms by name, in the rooms' order."""
    found = [
        _entry(path, kind) for kind in kinds for path in sorted((HERE / kind).glob("*.py")) if path.stem != "__init__"
    ]
    return {e.name: e for e in found}


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
    module = importlib.import_module(f"luthier.{entry.kind}.{entry.name}")
    return module.METHOD  # type: ignore[no-any-return]
