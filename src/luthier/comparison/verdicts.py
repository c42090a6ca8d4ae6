"""What the paired tests say: a verdict on every finished row, and the recommendation. Sentences are made elsewhere.

A row is held against the untuned model it was made from, against the constant answer (`evals.constant`: what looks at
no text) and against the best row. Better or worse is said only where the interval of the paired difference leaves zero
out that holds at once with those of all other pairs: any false word on a board has a chance of 5 %, also though the
best was chosen by the same rows, and a pair has one interval wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from luthier.comparison.leaderboard import BASELINE, CONSTANT, Against, Constant, Recommendation, Verdict, Winner
from luthier.comparison.plan import Prefer
from luthier.comparison.recommended_command import predict_command
from luthier.evals.bootstrap import Bootstrap
from luthier.io.files import read_record

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
    """The constant answer, and its scores of the test rows as a run keeps them."""

    constant: Constant
    per_row: list[float]
    run: Mapping[str, Any] = field(default_factory=dict)


def read_floor(folder: Path, task: str, rows: int) -> Floor | None:
    """What the worker kept; None where the task has no constant answer, or an earlier version kept none."""
    path = folder / FLOOR
    if not path.exists():
        return None
    kept = read_record(path, "answer", "per_row")
    answer = " ".join(str(kept["answer"]).split())
    short = answer if len(answer) <= LONGEST else answer[: LONGEST - 1].rstrip() + "…"
    run = {key: kept[key] for key in ("per_row", "codes") if kept.get(key) is not None}
    return Floor(Constant(KINDS[task], short or "–"), kept["per_row"], run) if len(kept["per_row"]) == rows else None


def judge(rows: Rows, bootstrap: Bootstrap, floor: Floor | None) -> list[Verdict]:
    """Every verdict on the finished rows, the best row first among them: against the constant answer, the untuned
    model of the same base, and the best."""
    ok = [row for row in rows if row["status"] == "ok"]
    untuned = {row["model"]: row["name"] for row in ok if row["method"] == BASELINE}

    def verdict(a: str, against: Against, b: str, key: str = "", steps: int | None = None) -> Verdict:
        other = key or b
        return Verdict.of(a, against, b, bootstrap.difference(a, other), bootstrap.together(a, other), steps)

    found = []
    if floor:
        found += [verdict(row["name"], "constant", CONSTANT, KEY) for row in ok if row["method"] != CONSTANT]
    for row in ok:
        base = untuned.get(row["model"])
        if row["method"] != BASELINE and base:
            found.append(verdict(row["name"], "untuned", base, steps=row.get("steps") or None))
    best, *others = [row["name"] for row in ok] or [""]
    return found + [verdict(name, "best", best) for name in others]


def winner(rows: Rows, bootstrap: Bootstrap) -> Winner | None:
    """The best row, its score corrected for having been chosen; None where nothing finished."""
    names = [row["name"] for row in rows if row["status"] == "ok"]
    if not names:
        return None
    found = bootstrap.winner(names)
    return Winner(names[0], bootstrap.value(names[0]), found.value, (found.low, found.high), len(names))


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


def unsure(verdicts: Sequence[Verdict]) -> list[str]:
    """The rows that seem behind the best, and not surely among so many."""
    return [v.a for v in verdicts if v.against == "best" and v.kind == "unsure"]


def resolution(verdicts: Sequence[Verdict]) -> float | None:
    """The difference to the best that these test rows can tell, in units of the score: half the widest interval."""
    widths = [(v.interval[1] - v.interval[0]) / 2 for v in verdicts if v.against == "best"]
    return max(widths, default=None)


def recommend(
    rows: Rows, verdicts: Sequence[Verdict], floor: Floor | None, run: Callable[[str], Path],
    prefer: Prefer = "quality",
) -> Recommendation:  # fmt: skip
    """What to use. rows: the best first. run: a row's first run. prefer: what decides among the best row and those that
    cannot be told from it; "quality" names a much cheaper one."""
    ok = [row for row in rows if row["status"] == "ok"]
    if not ok:
        return Recommendation("none")
    best, *others = ok
    found = _scored(best)
    own = {v.against: v for v in verdicts if v.a == best["name"]}
    if floor and best["method"] == CONSTANT:
        return Recommendation("constant", **found)
    if (nothing := own.get("constant")) and nothing.kind != "better":
        kind: Literal["below", "level"] = "below" if nothing.kind == "worse" else "level"
        return Recommendation(kind, unsure=nothing.kind == "unsure" and nothing.difference > 0, **found)
    level = [row for row in others if row["name"] in tied(verdicts) and _worth(row, verdicts)]
    if prefer != "quality" and (less := _least(prefer, best, level)):
        chosen, amounts = less
        command = predict_command(run(chosen["name"]))
        return Recommendation(prefer, other=best["name"], amounts=amounts, command=command, **_scored(chosen))
    found["command"] = predict_command(run(best["name"]))
    if (base := own.get("untuned")) and base.kind != "better":
        return Recommendation("untuned", other=base.b, unsure=base.kind == "unsure", **found)
    if other := _cheaper(best, [row for row in others if row["name"] in tied(verdicts)]):
        seconds = (other["train_seconds"], best["train_seconds"])
        return Recommendation("cheaper", other=other["name"], seconds=seconds, **found)
    return Recommendation("use", **found)


def _scored(row: Mapping[str, Any]) -> dict[str, Any]:
    low, high = row["ci95"]
    return {"name": row["name"], "score": row["score"], "interval": (low, high)}


def _worth(row: Mapping[str, Any], verdicts: Sequence[Verdict]) -> bool:
    """Whether it is better than what looks at no text."""
    return row["method"] != CONSTANT and all(
        v.kind == "better" for v in verdicts if v.a == row["name"] and v.against == "constant"
    )


def _least(
    prefer: Prefer, best: Mapping[str, Any], level: Rows
) -> tuple[Mapping[str, Any], tuple[float, float]] | None:
    """The row that takes least of it, with what it and the best take; None where that is the best or not known."""

    def amount(row: Mapping[str, Any]) -> float | None:
        if prefer == "cost" and row["train_seconds"] is not None:
            return float(row["train_seconds"]) + float(row.get("search_seconds") or 0.0)
        value = row.get({"size": "artifact_bytes", "latency": "latency_ms"}.get(prefer, ""))
        return None if value is None else float(value)

    most = amount(best)
    known = [(value, row) for row in level if (value := amount(row)) is not None]
    if most is None or not known:
        return None
    least, row = min(known, key=lambda pair: pair[0])
    return (row, (least, most)) if least < most else None


def _cheaper(best: Mapping[str, Any], tied: Rows) -> Mapping[str, Any] | None:
    """The tied row that was made in the least time, where that is worth a word."""
    dear = best["train_seconds"]
    found = [row for row in tied if row["train_seconds"] < 0.5 * dear < dear - WORTH_SAVING]
    return min(found, key=lambda row: row["train_seconds"], default=None)
