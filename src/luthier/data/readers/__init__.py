"""Files of rows. A format is a file here, or another package's (`core.plugins`, the group `luthier.readers`).

ENDINGS says which names it reads, `read(path, mapped, encoding) -> Source` reads: `mapped` are the columns that a
`--map` names, `encoding` is one that the user named, or "". It raises LuthierError for a file of which nothing can be
read; a row that is broken is a row with its reason. PACKED says that .gz around it makes no sense.
"""

from __future__ import annotations

from luthier.core import plugins


def by_ending() -> dict[str, plugins.Plugin]:
    """What reads each ending; found without importing it. Ours first, and one that is taken stays ours."""
    found: dict[str, plugins.Plugin] = {}
    for member in plugins.members("readers").values():
        for ending in member.constants.get("ENDINGS", ()):
            found.setdefault(ending, member)
    return found
