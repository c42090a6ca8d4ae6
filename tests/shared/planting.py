"""Methods for tests only, in `planted/`. Run as a program, this is a comparison's worker that knows them."""

from __future__ import annotations

import os
from pathlib import Path

import luthier.direct
from luthier.core import catalog, plugins

PLANTED = Path(__file__).parent / "planted"
_REAL = catalog.entries


def entries(*kinds: catalog.Kind) -> dict[str, catalog.Entry]:
    """The catalog's with ours among the direct methods."""
    return _REAL(*kinds) | ({p.stem: _entry(p) for p in sorted(PLANTED.glob("*.py"))} if "direct" in kinds else {})


def _entry(path: Path) -> catalog.Entry:
    member = plugins._read(path.stem, "direct", f"luthier.direct.{path.stem}", path)
    return catalog.Entry(path.stem, "direct", member.summary, (), member)


def main() -> int:
    """The worker of `luthier.comparison`."""
    from luthier.comparison.execution import worker

    luthier.direct.__path__.append(str(PLANTED))
    catalog.entries = entries
    return worker.main()


if __name__ == "__main__":
    os._exit(main())
