"""What finished trials left on disk: an outcome a method, an evaluation a seed. A damaged file is named.

An outcome's status: "ok"; "failed" (an error), "skipped" (the method does not suit), "unneeded" (no row of its own: the
method is for other data and nobody asked for it, or another row says the same).
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from luthier.errors import LuthierError
from luthier.files import read_record, write_json

LATENCY = "latency.json"  # of a run: see `compare.quiet`
MEASURING = "measuring.json"  # names the method whose speed is being measured, and those that took the process down
SPENT = "spent.json"  # of a comparison: seconds by the wall's clock, of all its starts together
ERRORS = "error.log"  # of a trial: the traceback of what it failed by

EVALUATION = (
    "metric", "score", "secondary", "per_row", "answers", "latency_ms", "forgetting", "train_seconds",
    "peak_memory_bytes", "artifact_bytes", "trainable", "trainable_share", "mergeable", "learning_rate",
)  # fmt: skip


def read_outcome(folder: Path, method: str) -> dict[str, Any]:
    """{"status": "ok", "seeds": n}, or another status with a reason."""
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


def lacks_latency(folder: Path, method: str) -> bool:
    """Whether a trial has results and nobody has measured how long an answer takes."""
    run = folder / "trials" / method / "seed-0"
    if not finished(folder, method) or read_outcome(folder, method)["status"] != "ok" or (run / LATENCY).exists():
        return False
    return read_record(run / "eval.json").get("latency_ms") is None


def read_runs(folder: Path, method: str, seeds: int) -> list[dict[str, Any]]:
    """The evaluation of each seed; how long an answer takes is measured of the first one, and last of all."""
    place = folder / "trials" / method
    runs = [read_record(place / f"seed-{k}" / "eval.json", *EVALUATION) for k in range(seeds)]
    path = place / "seed-0" / LATENCY
    if not path.exists():  # measured with the scores, by an earlier version
        known = runs[0]["latency_ms"] if runs else None
        return [run if run["latency_ms"] is not None else {**run, "latency_ms": known} for run in runs]
    found = read_record(path, "latency_ms")
    return [{**run, "latency_ms": found["latency_ms"], "latency_waiting": found.get("waiting", 0.0)} for run in runs]


def write_left_out(place: Path, status: Literal["failed", "skipped", "unneeded"], reason: object) -> None:
    """The outcome of a trial without a score; place: its folder. The reason becomes one line."""
    words = "; ".join(line.strip() for line in str(reason).splitlines() if line.strip())
    write_json(place / "outcome.json", {"status": status, "reason": words or "no reason was given"})


def log_error(path: Path, root: Path, error: BaseException) -> str:
    """An error in one line for people; where it was not foreseen, its traceback goes to `path`, which the line names
    from `root` on."""
    if isinstance(error, LuthierError):
        return str(error)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", errors="backslashreplace") as log:
        traceback.print_exception(error, file=log)
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return f"{type(error).__name__}: {first} (details in {path.relative_to(root)})"


def forget_failures(root: Path, methods: Sequence[str]) -> dict[str, str]:
    """Make trials that failed unfinished again, so that they are tried once more; gives their reasons."""
    found = {}
    for method in methods:
        path = root / "trials" / method / "outcome.json"
        if path.exists() and (outcome := read_outcome(root, method))["status"] == "failed":
            found[method] = str(outcome["reason"])
            (path.parent / ERRORS).unlink(missing_ok=True)
            path.unlink()
    return found


def of_model(model: str, reason: str) -> str:
    """A reason with its model's name before it, which most begin with anyway."""
    return reason if reason.startswith(f"{model}:") else f"{model}: {reason}"
