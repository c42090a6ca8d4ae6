"""Which studies there are: a file in `studies/` is one, `lora_init.py` the command `luthier study lora-init`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from luthier.core import plugins
from luthier.core.catalog import suggest
from luthier.core.errors import LuthierError

if TYPE_CHECKING:
    from luthier.study.study import Study


@dataclass(frozen=True)
class Listed:
    """A study as the list shows it. help: the docstring of its file."""

    name: str
    help: str


def listed() -> tuple[Listed, ...]:
    """Every study, by name."""
    return tuple(Listed(name, member.text) for name, member in _members().items())


def _members() -> dict[str, plugins.Plugin]:
    return {name.replace("_", "-"): member for name, member in plugins.members("studies").items()}


def load(name: str) -> type[Study]:
    """The class of a study. Raises LuthierError that suggests the right name."""
    known = _members()
    if name not in known:
        raise LuthierError(f"there is no study {name!r}{suggest(name, known)}")
    return known[name].load("STUDY")  # type: ignore[no-any-return]
