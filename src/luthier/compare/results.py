"""What finished trials left on disk: an outcome a method, an evaluation a seed. A damaged file is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from luthier.files import read_record

EVALUATION = (
    "metric", "score", "secondary", "per_row", "answers", "latency_ms", "forgetting", "train_seconds",
    "peak_memory_bytes", "artifact_bytes", "trainable", "trainable_share", "mergeable", "learning_rate",
)  # fmt: skip


def read_outcome(folder: Path, method: str) -> dict[str, Any]:
    """{"status": "ok", "seeds": n}, or "failed" or "skipped" with a reason."""
    path = folder / "trials" / method / "outcome.json"
    ok = read_record(path, "status")["status"] == "ok"
    return read_record(path, "seeds" if ok else "reason")


def finished(folder: Path, method: str) -> bool:
    """Whether a method has its outcome and all that belongs to it."""
    place = folder / "trials" / method
    if not (place / "outcome.json").exists():
        return False
    seeds = read_outcome(folder, method).get("seeds", 0)
    return all((place / f"seed-{k}" / "eval.json").exists() for k in range(seeds))


def read_runs(folder: Path, method: str, seeds: int) -> list[dict[str, Any]]:
    """The evaluation of each seed."""
    return [read_record(folder / "trials" / method / f"seed-{k}" / "eval.json", *EVALUATION) for k in range(seeds)]
