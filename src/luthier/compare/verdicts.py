"""What the paired tests say: a verdict on every finished row, and the recommendation. Sentences are made elsewhere.

A row is held against the untuned model it was made from, against the constant answer (`evals.constant`: what looks at
no text) and against the best row. Better or worse is said only where the interval of the paired difference leaves zero
out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from luthier.compare.go_on import predict_command
from luthier.compare.leaderboard import BASELINE, CONSTANT, Constant, Recommendation, Verdict
from luthier.compare.stats import Bootstrap
from luthier.files import read_record

KEY = "\0constant"  # of the constant answer's scores in the bootstrap: no row is called so
FLOOR = "floor.json"  # the constant answer and its scores on the test rows
WORTH_SAVING = 10.0  # seconds of training below which a cheaper method is not worth a word
LONGEST = 40  # characters of a constant answer in a sentence
KINDS: Mapping[str, Literal["label", "labels", "median", "answer"]] = {
    "classification": "label", "multilabel": "labels", "regression": "median", "generation": "answer",
}  # fmt: skip
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Floor:
    """The constant answer, and its scores of the test rows."""

    constant: Constant
    per_row: list[float]


def read_floor(folder: Path, task: str, rows: int) -> Floor | None:
    """What the worker kept; None where the task has no constant answer, or an earlier version kept none."""
    path = folder / FLOOR
    if not path.exists():
        return None
    kept = read_record(path, "answer", "per_row")
    answer = " ".join(str(kept["answer"]).split())
    short = answer if len(answer) <= LONGEST else answer[: LONGEST - 1].rstrip() + "…"
    return Floor(Constant(KINDS[task], short or "–"), kept["per_row"]) if len(kept["per_row"]) == rows else None


def judge(rows: Rows, bootstrap: Bootstrap, floor: Floor | None) -> list[Verdict]:
    """Every verdict on the finished rows, the best row first among them: against the constant answer, the untuned
    model of the same base, and the best."""
    ok = [row for row in rows if row["status"] == "ok"]
    untuned = {row["model"]: row["name"] for row in ok if row["method"] == BASELINE}
    found = []
    if floor:
        tested = [row["name"] for row in ok if row["method"] != CONSTANT]
        found += [Verdict.of(n, "constant", CONSTANT, bootstrap.difference(n, KEY)) for n in tested]
    for row in ok:
        base, name, steps = untuned.get(row["model"]), row["name"], row.get("steps") or None
        if row["method"] != BASELINE and base:
            found.append(Verdict.of(name, "untuned", base, bootstrap.difference(name, base), steps))
    best, *others = [row["name"] for row in ok] or [""]
    return found + [Verdict.of(name, "best", best, bootstrap.difference(name, best)) for name in others]


def below(verdicts: Sequence[Verdict]) -> dict[str, list[str]]:
    """By row: which of "constant" and "untuned" it is worse than, or that it "collapsed" below the untuned model."""
    found: dict[str, list[str]] = {}
    for v in verdicts:
        if v.kind == "worse" and v.against != "best" and v.a != CONSTANT:
            found.setdefault(v.a, []).append("collapsed" if v.collapsed else v.against)
    return found


def tied(verdicts: Sequence[Verdict]) -> list[str]:
    """The rows that cannot be told from the best."""
    return [v.a for v in verdicts if v.against == "best" and v.kind == "tied"]


def resolution(verdicts: Sequence[Verdict]) -> float | None:
    """The difference to the best that these test rows can tell, in units of the score: half the widest interval."""
    widths = [(v.interval[1] - v.interval[0]) / 2 for v in verdicts if v.against == "best"]
    return max(widths, default=None)


def recommend(rows: Rows, verdicts: Sequence[Verdict], floor: Floor | None, run: Path) -> Recommendation:
    """What to use. rows: the best first. run: the best method's first run."""
    ok = [row for row in rows if row["status"] == "ok"]
    if not ok:
        return Recommendation("none")
    best, *others = ok
    low, high = best["ci95"]
    found = {"name": best["name"], "score": best["score"], "interval": (low, high)}
    own = {v.against: v for v in verdicts if v.a == best["name"]}
    if floor and best["method"] == CONSTANT:
        return Recommendation("constant", **found)
    if (nothing := own.get("constant")) and nothing.kind != "better":
        return Recommendation("below" if nothing.kind == "worse" else "level", **found)
    found["command"] = predict_command(run)
    if (base := own.get("untuned")) and base.kind != "better":
        return Recommendation("untuned", other=base.b, **found)
    if other := _cheaper(best, [row for row in others if row["name"] in tied(verdicts)]):
        seconds = (other["train_seconds"], best["train_seconds"])
        return Recommendation("cheaper", other=other["name"], seconds=seconds, **found)
    return Recommendation("use", **found)


def _cheaper(best: Mapping[str, Any], tied: Rows) -> Mapping[str, Any] | None:
    """The tied row that was made in the least time, where that is worth a word."""
    dear = best["train_seconds"]
    found = [row for row in tied if row["train_seconds"] < 0.5 * dear < dear - WORTH_SAVING]
    return min(found, key=lambda row: row["train_seconds"], default=None)
