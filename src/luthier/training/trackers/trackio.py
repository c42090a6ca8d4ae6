"""trackio: a database on this machine (TRACKIO_DIR names another folder for it); look at it with `trackio show`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

extras = ("trackio",)


class Trackio:
    """One run; the same name goes on after a kill."""

    def __init__(self, run: str, group: str, settings: Mapping[str, Any], folder: Path, step: int) -> None:
        import trackio

        project = os.environ.get("TRACKIO_PROJECT", "luthier")
        name = f"{group}/{run}".replace("/", "-")
        self.run: Any = trackio.init(project=project, name=name, group=group, config=dict(settings), resume="allow",
                                     embed=False)  # fmt: skip

    def log(self, values: Mapping[str, float], step: int) -> None:
        """One step."""
        self.run.log({f"train/{name}": value for name, value in values.items()}, step=step)

    def finish(self, scores: Mapping[str, float]) -> None:
        """The scores, and the end of the run."""
        self.run.log({f"final/{name}": value for name, value in scores.items()})
        self.run.finish()


TRACKER = Trackio
