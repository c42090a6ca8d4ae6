"""Open data sets by name: fetched from where they are published, converted to files that are read here.

A file in `families/` has the sets of one family of layouts (`SETS`) and what converts their rows; another package adds
its own by an entry point of the group `luthier.opensets`.
"""

from __future__ import annotations

from luthier.core import plugins
from luthier.core.catalog import suggest
from luthier.core.errors import LuthierError
from luthier.data.opensets.spec import OpenSet


def sets() -> dict[str, OpenSet]:
    """Every open set by name; a name of ours stays ours."""
    found: dict[str, OpenSet] = {}
    for member in plugins.members("opensets").values():
        for each in member.load("SETS"):
            found.setdefault(each.name, each)
    return dict(sorted(found.items()))


def find(name: str) -> OpenSet:
    """The set of that name; an unknown one is an error that suggests the right one."""
    known = sets()
    if name not in known:
        raise LuthierError(f"there is no open data set {name!r}{suggest(name, known)}")
    return known[name]
