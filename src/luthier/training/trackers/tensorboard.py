"""TensorBoard: event files below FOLDER/tensorboard; look at them with `tensorboard --logdir FOLDER/tensorboard`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

extras = ("tensorboard",)


class TensorBoard:
    """One run's event files. What a killed run wrote from `step` on is hidden, not shown twice."""

    def __init__(self, run: str, group: str, settings: Mapping[str, Any], folder: Path, step: int) -> None:
        import yaml
        from torch.utils.tensorboard import SummaryWriter

        self.writer: Any = SummaryWriter(str(folder / "tensorboard" / run), purge_step=step)
        self.writer.add_text("recipe", f"```\n{yaml.safe_dump(dict(settings), allow_unicode=True)}\n```")

    def log(self, values: Mapping[str, float], step: int) -> None:
        """One step."""
        for name, value in values.items():
            self.writer.add_scalar(f"train/{name}", value, step)

    def finish(self, scores: Mapping[str, float]) -> None:
        """The scores, and the end of the files."""
        for name, value in scores.items():
            self.writer.add_scalar(f"final/{name}", value, 0)
        self.writer.close()


TRACKER = TensorBoard
