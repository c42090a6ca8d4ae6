"""What a run folder says of its model without loading it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from luthier.io.files import read_record


def files_of(folder: Path) -> Path | None:
    """Where a run keeps what adapts its base: adapter/ or model/, or the folder itself where one was exported."""
    return next((folder / n for n in ("adapter", "model", "") if (folder / n / "luthier.json").exists()), None)


def is_run(folder: Path) -> bool:
    """Whether a finished run stands there."""
    return folder.is_dir() and (folder / "recipe.yaml").is_file() and files_of(folder) is not None


def run_labels(folder: Path) -> tuple[str, ...]:
    """The labels a run predicts; none when it writes text."""
    return tuple(_said(folder).get("labels", ()))


def run_writes(folder: Path) -> bool:
    """Whether a run answers with text: not with labels, or a number."""
    said = _said(folder)
    return not (said.get("labels") or said.get("head") or said.get("task") == "regression")


def _said(folder: Path) -> dict[str, Any]:
    found = files_of(folder)
    return read_record(found / "luthier.json", "labels") if found else {}
