"""Weights & Biases: offline below FOLDER/wandb (send it later with `wandb sync`) unless a key or WANDB_MODE is set."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

extras = ("wandb",)


class WandB:
    """One run; the same id after a kill, so that it goes on in the same place."""

    def __init__(self, run: str, group: str, settings: Mapping[str, Any], folder: Path, step: int) -> None:
        import wandb

        mode = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
        key = hashlib.sha256(f"{group}/{run}".encode()).hexdigest()[:16]
        self.run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "luthier"), group=group, name=run, id=key, resume="allow",
            dir=str(folder), config=dict(settings), mode=mode, reinit="create_new",
            settings=wandb.Settings(silent=True),
        )  # fmt: skip

    def log(self, values: Mapping[str, float], step: int) -> None:
        """One step."""
        self.run.log({f"train/{name}": value for name, value in values.items()}, step=step)

    def finish(self, scores: Mapping[str, float]) -> None:
        """The scores, as the run's summary."""
        self.run.summary.update({f"final/{name}": value for name, value in scores.items()})
        self.run.finish()


TRACKER = WandB
