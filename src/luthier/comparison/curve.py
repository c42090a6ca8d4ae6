"""How many rows do I need? Quality by number of training rows, and what answers it.

Every size is scored on the same test rows, so sizes are compared in pairs like methods. Enough is the smallest size
from which on no size can be told from the largest; whether more rows still help is read from the last two sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.comparison.plan import Request
from luthier.comparison.results import read_outcome, read_runs
from luthier.comparison.trial_list import name_of, trials_of
from luthier.evals.bootstrap import Bootstrap, Interval
from luthier.evals.resampled import bootstrap as bootstrap_of

RULE = (
    "A run on n of N training rows gets the square root of n/N of the budget: with a quarter of the rows half the "
    "steps and twice the passes. The first n rows of one random order are taken, so every set holds the smaller ones."
)


@dataclass(frozen=True)
class Line:
    """A method's runs by number of training rows, smallest first. left_out: sizes that gave no score, with reasons."""

    name: str
    method: str
    model: str
    runs: dict[int, list[dict[str, Any]]]
    left_out: dict[int, str]


def lines(request: Request, folder: Path, full: Mapping[str, list[dict[str, Any]]], rows: int) -> list[Line]:
    """What the curve's trials left on disk; the runs on all `rows` training rows are each line's last point."""
    out = []
    for trial in (c for c in trials_of(request) if c.rows is None and name_of(request, c) in full):
        runs, left_out = {}, {}
        for point in (c for c in trials_of(request, trial.model) if c.method == trial.method and c.rows):
            assert point.rows
            outcome = read_outcome(folder, point.place)
            if outcome["status"] == "ok":
                runs[point.rows] = read_runs(folder, point.place, outcome["seeds"])
            elif point.rows < rows:
                left_out[point.rows] = outcome["reason"]
        name = name_of(request, trial)
        out.append(Line(name, trial.method, trial.model, runs | {rows: full[name]}, left_out))
    return out


def table(found: Sequence[Line], best: str | None) -> dict[str, Any]:
    """The content of leaderboard.json under "curve". Scores as in the rows of the leaderboard.

    main: the method that answers: the best, or where that has no curve (a wording has none), the best that has one.
    """
    by_size = {f"{line.name}@{n}": runs for line in found for n, runs in line.runs.items()}
    metric = next((str(r.get("metric", "")) for runs in by_size.values() for r in runs), "")
    bootstrap = bootstrap_of(by_size, metric)
    entries = [_entry(line, bootstrap) for line in found]
    several_sizes = [e for e in entries if len(e["points"]) > 1]
    main = max(several_sizes, key=lambda e: (e["name"] == best, e["points"][-1]["score"]), default=None)
    return {
        "sizes": sorted({n for line in found for n in line.runs}),
        "rule": RULE,
        "methods": entries,
        "main": main["name"] if main else None,
    }


def _entry(line: Line, bootstrap: Bootstrap) -> dict[str, Any]:
    sizes = sorted(line.runs)
    points = []
    for n in sizes:
        interval, runs = bootstrap.score(f"{line.name}@{n}"), line.runs[n]
        points.append(
            {"rows": n, "score": interval.value, "ci95": [interval.low, interval.high], "seeds": len(runs),
             "tokens": runs[0]["tokens"], "train_seconds": sum(r["train_seconds"] for r in runs) / len(runs)}
        )  # fmt: skip
    behind = {n: bootstrap.difference(f"{line.name}@{sizes[-1]}", f"{line.name}@{n}") for n in sizes[:-1]}
    return {
        "name": line.name,
        "method": line.method,
        "model": line.model,
        "points": points,
        "left_out": [{"rows": n, "reason": reason} for n, reason in sorted(line.left_out.items())],
        "enough": enough(behind, sizes[-1]),
        "more_helps": more_helps(behind),
        "behind": {str(n): [found.value, found.low, found.high] for n, found in behind.items()},
    }


def enough(behind: Mapping[int, Interval], last: int) -> int:
    """The smallest size from which on none is clearly worse than the largest. behind: how far each is below it."""
    found = last
    for n in sorted(behind, reverse=True):
        if behind[n].low > 0:
            break
        found = n
    return found


def more_helps(behind: Mapping[int, Interval]) -> bool | None:
    """Whether the last step up gained for sure; None where there was no step."""
    return behind[max(behind)].low > 0 if behind else None
