"""What a comparison took, how far its times can be trusted, and what more rows or budget may bring: from its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from luthier.comparison.answer import Answer, trend
from luthier.comparison.plan import Request
from luthier.comparison.results import SPENT
from luthier.comparison.trial_list import Trial
from luthier.core.phrases import say
from luthier.io.files import read_record
from luthier.io.metrics_file import read_metrics

Runs = Mapping[str, Sequence[Mapping[str, Any]]]
# Seconds of a row besides training by the wall's clock; none of them were measured by earlier versions.
TIMES = ("train_cpu_seconds", "search_seconds", "search_cpu_seconds", "answer_seconds", "answer_cpu_seconds")
BUSY = 0.2  # share of the time without a core, beyond which times are doubted
SMALLEST = 16  # rows of the smallest point of a curve that is worth proposing


def explained(
    made: Answer, rows: Sequence[Mapping[str, Any]], request: Request, counts: Mapping[str, Any], folder: Path,
    trials: Mapping[str, Trial],
) -> dict[str, Any]:  # fmt: skip
    """Whether tuning pays, as data, with what more rows or budget may bring: see `comparison.answer`."""
    told: dict[str, Any] = asdict(made) | {"interval": list(made.interval) if made.interval else None}
    row = next((row for row in rows if row["name"] == made.tuned), None)
    if row:
        train = int(counts["train"])
        if row.get("steps"):
            curve = read_metrics(trials[made.tuned].folder(folder) / "seed-0" / "metrics.jsonl")
            losses = [m["loss"] for m in curve if m["loss"] is not None]
            third, last, falling = trend(losses) or (None, None, None)
            told["training"] = {
                "passes": row["steps"] * row["batch"] / train, "third": third, "last": last, "falling": falling,
            }  # fmt: skip
        if not request.curve and train >= 4 * SMALLEST:
            told["curve"] = [train // 4, train // 2]
    best = next((row for row in rows if row["status"] == "ok"), None)
    if best and best.get("latency_ms"):
        told["thousand"] = {"method": best["name"], "seconds": best["latency_ms"]}
    return told


def spent(folder: Path, runs: Runs) -> dict[str, float | None] | None:
    """Seconds: of the wall's clock in all, and of processor time by what it went into; None where a part is missing."""
    found = [run for made in runs.values() for run in made]
    if not found or any("train_cpu_seconds" not in run for run in found) or not (folder / SPENT).exists():
        return None
    search = sum(made[0].get("search_cpu_seconds", 0.0) for made in runs.values())
    final, answers = (sum(run[f"{what}_cpu_seconds"] for run in found) for what in ("train", "answer"))
    kept = read_record(folder / SPENT, "seconds")
    wall = kept["seconds"] if kept.get("whole", True) else None  # a start was killed: what it took is not known
    return {"wall": wall, "cpu": search + final + answers, "search": search, "final": final, "answers": answers}


def busy(runs: Runs) -> list[str]:
    """That other programs took the cores while something was timed."""
    found = [run for made in runs.values() for run in made]
    said: list[str] = []
    for what, key in (("column_training", "waiting"), ("column_latency", "latency_waiting")):
        waits = [run[key] for run in found if key in run]
        if waits and (share := sum(waits) / len(waits)) > BUSY:
            said.append(say("said_busy", what=say(what), share=f"{100 * share:.0f}"))
    return said
