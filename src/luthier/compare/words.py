"""Names of the report that its catalogue may lack: a metric's, whose file may come from another package."""

from __future__ import annotations

from pathlib import Path

from luthier.core.phrases import say, table

PAGE = Path(__file__).parent / "page"


def metric(name: str) -> str:
    """A metric's name with its unit, as on an axis."""
    from luthier.evals.metric import title

    return say(f"metric_{name}") if f"metric_{name}" in table()["en"] else title(name)
