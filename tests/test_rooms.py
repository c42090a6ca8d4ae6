"""Who may import whom: the contract in pyproject.toml (`make check`), and no module imports itself by a detour."""

from __future__ import annotations

from graphlib import TopologicalSorter

import pytest


def test_no_circles() -> None:
    """Imports inside functions count, those for types alone do not."""
    grimp = pytest.importorskip("grimp")
    graph = grimp.build_graph("luthier", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter({module: found - {"luthier"} for module, found in imports.items()}).prepare()
