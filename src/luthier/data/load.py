"""The rows of a recipe: the split that every method gets."""

from __future__ import annotations

from pathlib import Path

from luthier.core.split import Split
from luthier.data.task import load_alone
from luthier.data.together import load_together
from luthier.io.config import DataConfig


def load_split(config: DataConfig, rejected: Path | None = None) -> tuple[Split, list[str]]:
    """The split and notes for the user; broken rows stop here unless `skip_bad`, which lists them in `rejected`."""
    return (load_together if config.also else load_alone)(config, rejected)
