"""Which studies there are: a file in `studies/` is one, `lora_init.py` the command `luthier study lora-init`.

Listing reads the files as text, so that it needs neither torch nor what a study imports.
"""

from __future__ import annotations

import ast
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from luthier.catalog import suggest
from luthier.errors import LuthierError

if TYPE_CHECKING:
    from luthier.study.study import Study

HERE = Path(__file__).parent / "studies"


@dataclass(frozen=True)
class Listed:
    """A study as the list shows it. help: the docstring of its file."""

    name: str
    help: str


def listed() -> tuple[Listed, ...]:
    """Every study, by name."""
    files = [p for p in sorted(HERE.glob("*.py")) if p.stem != "__init__"]
    return tuple(
        Listed(p.stem.replace("_", "-"), ast.get_docstring(ast.parse(p.read_text("utf-8"))) or "") for p in files
    )


def load(name: str) -> type[Study]:
    """The class of a study. Raises LuthierError that suggests the right name."""
    known = [entry.name for entry in listed()]
    if name not in known:
        raise LuthierError(f"there is no study {name!r}{suggest(name, known)}")
    return importlib.import_module(f"luthier.study.studies.{name.replace('-', '_')}").STUDY  # type: ignore[no-any-return]
