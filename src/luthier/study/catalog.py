"""Which studies there are: a file in `studies/` is one, `lora_init.py` the command `luthier study lora-init`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from luthier.core import plugins
from luthier.core.catalog import suggest
from luthier.core.errors import LuthierError

if TYPE_CHECKING:
    from luthier.study.experiment import Experiment


@dataclass(frozen=True)
class Listed:
    """A study as the list shows it. help: the docstring of its file. takes: the options of its command by their names,
    where its file says TAKES; else all.
    """

    name: str
    help: str
    takes: tuple[str, ...] = ()


def listed() -> tuple[Listed, ...]:
    """Every study, by name."""
    found = _members().items()
    return tuple(Listed(name, member.text, tuple(member.constants.get("TAKES", ()))) for name, member in found)


def _members() -> dict[str, plugins.Plugin]:
    return {name.replace("_", "-"): member for name, member in plugins.members("studies").items()}


def load(name: str) -> type[Experiment]:
    """The class of a study. Raises LuthierError that suggests the right name."""
    known = _members()
    if name not in known:
        raise LuthierError(f"there is no study {name!r}{suggest(name, known)}")
    return known[name].load("STUDY")  # type: ignore[no-any-return]
