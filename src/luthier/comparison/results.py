"""What finished trials left on disk: an outcome a method, an evaluation a seed. A damaged file is named.

An outcome's status: "ok"; "failed" (an error), "skipped" (the method does not suit), "unneeded" (no row of its own: the
method is for other data and nobody asked for it, or another row says the same).
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase, of_error, recall, remember, say
from luthier.io.files import read_json, read_record, write_json

LATENCY = "latency.json"  # of a run: see `execution.quiet_latency`
MEASURING = "measuring.json"  # names the method whose speed is being measured, and those that took the process down
SPENT = "spent.json"  # of a comparison: seconds by the wall's clock, of all its starts together
ERRORS = "error.log"  # of a trial: the traceback of what it failed by
NOTES = "notes.json"  # of a comparison: what is to be known of its data

EVALUATION = (
    "metric", "score", "secondary", "per_row", "answers", "latency_ms", "forgetting", "train_seconds",
    "peak_memory_bytes", "artifact_bytes", "trainable", "trainable_share", "mergeable", "learning_rate",
)  # fmt: skip


def read_outcome(folder: Path, method: str) -> dict[str, Any]:
    """{"status": "ok", "seeds": n}, or another status with a reason."""
    path = folder / "trials" / method / "outcome.json"
    if read_record(path, "status")["status"] == "ok":
        return read_record(path, "seeds")
    found = read_record(path, "reason")
    return {**found, "reason": recall(found, "reason")}


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
    found = [read_record(place / f"seed-{k}" / "eval.json", *EVALUATION) for k in range(seeds)]
    runs = [{**run, "notes": recall(run, "notes")} if "notes" in run else run for run in found]
    path = place / "seed-0" / LATENCY
    if not path.exists():  # measured with the scores, by an earlier version
        known = runs[0]["latency_ms"] if runs else None
        return [run if run["latency_ms"] is not None else {**run, "latency_ms": known} for run in runs]
    last = read_record(path, "latency_ms")
    return [{**run, "latency_ms": last["latency_ms"], "latency_waiting": last.get("waiting", 0.0)} for run in runs]


def read_notes(folder: Path) -> list[str]:
    """What is to be known of the data of a comparison; earlier versions wrote the bare list."""
    found = read_json(folder / NOTES)
    return list(recall(found, "notes") if isinstance(found, dict) else found)


def write_notes(folder: Path, notes: Sequence[str]) -> None:
    """Keep what is to be known of the data of a comparison."""
    write_json(folder / NOTES, remember({"notes": list(notes)}, "notes"))


def write_left_out(place: Path, status: Literal["failed", "skipped", "unneeded"], reason: str | BaseException) -> None:
    """The outcome of a trial without a score; place: its folder. The reason becomes one line."""
    words = _in_a_line(of_error(reason) if isinstance(reason, BaseException) else reason)
    record = {"status": status, "reason": words or say("said_no_reason")}
    write_json(place / "outcome.json", remember(record, "reason"))


def _in_a_line(text: str) -> str:
    """The text without line ends; those of a phrase stand in what fills its places."""
    if isinstance(text, Phrase):
        several = {name: value for name, value in text.values.items() if len(str(value).splitlines()) > 1}
        return Phrase(text.key, {**text.values, **{n: _in_a_line(v) for n, v in several.items() if isinstance(v, str)}})
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def log_error(path: Path, root: Path, error: BaseException) -> str:
    """An error in one line for people; where it was not foreseen, its traceback goes to `path`, which the line names
    from `root` on."""
    if isinstance(error, LuthierError):
        return of_error(error)
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
    return reason if reason.startswith(f"{model}:") else say("said_of_model", model=model, reason=reason)
