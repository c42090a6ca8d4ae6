"""A finished comparison on disk without a model: what the tests of the board read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from luthier.comparison.plan import Plan, Request, begin, save_plan
from luthier.io.config import DataConfig
from luthier.io.files import write_json, write_text

LABELS = ("退款", "refund", "refund request")
REASON = "OutOfMemoryError: 3 GB [wanted] (details in worker.log)"


def evaluation(per_row: Sequence[float], **changes: Any) -> dict[str, Any]:
    """What a trial writes about one seed."""
    score = sum(per_row) / len(per_row)
    return {
        "metric": "accuracy", "score": score, "secondary": {"macro_f1": score / 2}, "per_row": list(per_row),
        "answers": ["refund"] * len(per_row), "latency_ms": 5.0, "forgetting": 0.25, "train_seconds": 40.0,
        "peak_memory_bytes": 10**9, "artifact_bytes": 5000, "trainable": 64, "trainable_share": 0.01,
        "mergeable": True, "learning_rate": 0.001, "tokens": 3000, **changes,
    }  # fmt: skip


def comparison(folder: Path, trials: Mapping[str, Any], labels: Sequence[str] = LABELS) -> Path:
    """Write it. trials: method -> evaluations by seed, or (status, reason)."""
    request = Request(DataConfig("my data.jsonl"), "some/model", tuple(trials), "3m", 2)
    begin(request, folder)
    save_plan(Plan(request, 3000, 180.0, 16.5, "float32", 1, "key", "data"), folder)
    sizes = {"train": 60, "validation": 20, "test": 4}
    task = {"task": "classification", "metric": "accuracy"} if labels else {"task": "generation", "metric": "chrF"}
    created = {"created": "2026-01-01T00:00:00+0000"}
    write_json(folder / "split.json", {**task, **created, **sizes, "labels": list(labels)})
    write_json(folder / "notes.json", ["1 row is a duplicate."])
    for method, left in trials.items():
        place = folder / "trials" / method
        if isinstance(left, tuple):
            write_json(place / "outcome.json", {"status": left[0], "reason": left[1]})
            continue
        write_json(place / "outcome.json", {"status": "ok", "seeds": len(left)})
        for seed, found in enumerate(left):
            write_json(place / f"seed-{seed}" / "eval.json", found)
            write_json(place / f"seed-{seed}" / "environment.json", {"torch": "2.9"})
            write_text(place / f"seed-{seed}" / "metrics.jsonl", '{"step": 1, "tokens": 90, "loss": 2.5}\n{"st')
    return folder
