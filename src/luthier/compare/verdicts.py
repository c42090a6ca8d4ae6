"""What the paired tests say: typed verdicts on every row, their sentences, and the recommendation.

A row is held against the untuned model it was made from, against the constant answer (`evals.constant`: what looks at
no text) and against the best row. Better or worse is said only where the interval of the paired difference leaves zero
out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from luthier.compare import units
from luthier.compare.go_on import predict_command
from luthier.compare.stats import Bootstrap, Interval
from luthier.files import read_record

Against = Literal["constant", "untuned", "best"]
GO_ON = " Go on with: "  # parts the sentence of a recommendation from its command
BASELINE, CONSTANT = "zero_shot", "majority"
KEY = "\0constant"  # of the constant answer's scores in the bootstrap: no row is called so
FLOOR = "floor.json"  # the constant answer and its scores on the test rows
WORTH_SAVING = 10.0  # seconds of training below which a cheaper method is not worth a word
LONGEST = 40  # characters of a constant answer in a sentence
FEW_STEPS = 50  # below, a run that collapsed had no time to recover
MORE_STEPS, LOWER_RATE = "a larger budget, or fewer methods in the same time,", "a lower learning rate, or more rows,"
CALLED = {
    "classification": "the commonest label ({})", "multilabel": "the commonest labels ({})",
    "regression": "the median ({})", "generation": "the commonest answer ({})",
}  # fmt: skip


@dataclass(frozen=True)
class Floor:
    """The constant answer. called: what it is, in words. per_row: its scores of the test rows."""

    called: str
    per_row: list[float]


@dataclass(frozen=True)
class Verdict:
    """A row against another, by their names; interval: of the row's score less the other's, on the same test rows.

    steps: of the row's own training, where it went through the loop.
    """

    row: str
    against: Against
    other: str
    interval: Interval
    steps: int | None = None

    @property
    def kind(self) -> Literal["better", "worse", "tied"]:
        """What is sure at 95 %."""
        return "better" if self.interval.low > 0 else "worse" if self.interval.high < 0 else "tied"

    @property
    def collapsed(self) -> bool:
        """Whether the row's own training left it below the untuned model."""
        return self.against == "untuned" and self.kind == "worse" and self.steps is not None


def read_floor(folder: Path, task: str, rows: int) -> Floor | None:
    """What the worker kept; None where the task has no constant answer, or an earlier version kept none."""
    path = folder / FLOOR
    if not path.exists():
        return None
    kept = read_record(path, "answer", "per_row")
    answer = " ".join(str(kept["answer"]).split())
    short = answer if len(answer) <= LONGEST else answer[: LONGEST - 1].rstrip() + "…"
    return Floor(CALLED[task].format(short or "–"), kept["per_row"]) if len(kept["per_row"]) == rows else None


def judge(rows: Sequence[Mapping[str, Any]], bootstrap: Bootstrap, floor: Floor | None) -> list[Verdict]:
    """Every verdict on the finished rows, the best row first among them: against the constant answer, the untuned
    model of the same base, and the best."""
    ok = [row for row in rows if row["status"] == "ok"]
    untuned = {row.get("model"): units.name(row) for row in ok if row["method"] == BASELINE}
    found = []
    if floor:
        tested = [units.name(row) for row in ok if row["method"] != CONSTANT]
        found += [Verdict(n, "constant", floor.called, bootstrap.difference(n, KEY)) for n in tested]
    for row in ok:
        if row["method"] not in (BASELINE, CONSTANT) and (base := untuned.get(row.get("model"))):
            found.append(_verdict(units.name(row), "untuned", base, bootstrap, row.get("steps") or None))
    best, *others = [units.name(row) for row in ok] or [""]
    return found + [_verdict(name, "best", best, bootstrap) for name in others]


def _verdict(name: str, against: Against, other: str, bootstrap: Bootstrap, steps: int | None = None) -> Verdict:
    return Verdict(name, against, other, bootstrap.difference(name, other), steps)


def sentences(verdicts: Sequence[Verdict], metric: str) -> list[str]:
    """What is worth saying of them, each pair once, what is worse than doing nothing first."""
    pairs = {frozenset((v.row, v.other)) for v in verdicts if v.against == "untuned"}
    floored = {v.row for v in verdicts if v.against == "constant"}

    def worth(v: Verdict) -> bool:
        if v.against == "constant":
            return v.kind != "better"
        return v.against != "best" or not ({v.row, v.other} in pairs or (v.other == CONSTANT and v.row in floored))

    said = [v for v in verdicts if worth(v)]
    return [_sentence(v, metric) for v in sorted(said, key=lambda v: not (v.kind == "worse" and v.against != "best"))]


def below(verdicts: Sequence[Verdict]) -> dict[str, list[str]]:
    """By row: which of "constant" and "untuned" it is worse than, or that it "collapsed" below the untuned model."""
    found: dict[str, list[str]] = {}
    for v in verdicts:
        if v.kind == "worse" and v.against != "best":
            found.setdefault(v.row, []).append("collapsed" if v.collapsed else v.against)
    return found


def tied(verdicts: Sequence[Verdict]) -> list[str]:
    """The rows that cannot be told from the best."""
    return [v.row for v in verdicts if v.against == "best" and v.kind == "tied"]


def resolution(verdicts: Sequence[Verdict]) -> float | None:
    """The difference to the best that these test rows can tell, in units of the score: half the widest interval."""
    widths = [(v.interval.high - v.interval.low) / 2 for v in verdicts if v.against == "best"]
    return max(widths, default=None)


def _sentence(v: Verdict, metric: str) -> str:
    if v.against == "best":
        lead = _between(v.interval, metric, -1)
        tied = f"{v.row}: not distinguishable from the best."
        return tied if v.kind == "tied" else f"{v.row} is behind {v.other} by {lead}."
    if v.against == "constant":  # what it is called comes last: it quotes the data
        if v.kind == "worse":
            return f"{v.row} is worse by {_between(v.interval, metric, -1)} than always answering {v.other}."
        apart = _between(v.interval, metric).replace(" (", ", ").rstrip(")")
        return f"{v.row} is not distinguishable ({apart}) from always answering {v.other}."
    if v.collapsed:
        left = f"{v.row} collapsed: its own training left it {_between(v.interval, metric, -1)} below {v.other}"
        return f"{left} after {v.steps} steps: {MORE_STEPS if (v.steps or 0) < FEW_STEPS else LOWER_RATE} would help."
    if v.kind == "worse":
        return f"{v.row} is worse than {v.other} by {_between(v.interval, metric, -1)}."
    if v.kind == "better":
        return f"{v.row} beats {v.other} by {_between(v.interval, metric)}."
    return f"{v.row}: not distinguishable from {v.other}, {_between(v.interval, metric)}."


def points(value: float, metric: str) -> str:
    """A score or a difference in points."""
    return f"{value * units.scale(metric):.1f}"


def _between(interval: Interval, metric: str, sign: int = 1) -> str:
    ends = sorted((sign * interval.low, sign * interval.high))
    low, high = (points(end, metric) for end in ends)
    return f"{points(sign * interval.value, metric)} points (95 % interval {low} to {high})"


def recommendation(
    rows: Sequence[Mapping[str, Any]], verdicts: Sequence[Verdict], floor: Floor | None, metric: str, run: Path
) -> str:
    """One sentence with its reason and the command to go on with. run: the best method's first run."""
    best, *others = [row for row in rows if row["status"] == "ok"]
    name = units.name(best)
    own = {v.against: v for v in verdicts if v.row == name}
    low, high = (points(x, metric) for x in best["ci95"])
    score = f"{points(best['score'], metric)} {metric} (95 % interval {low} to {high})"
    if floor and best["method"] == CONSTANT:
        return f"Use none of these yet: the best score measured, {score}, is that of always answering {floor.called}."
    if (nothing := own.get("constant")) and nothing.kind != "better":
        how = "is worse than" if nothing.kind == "worse" else "is not distinguishable from"
        said = f"{name} has the best score measured, {score}, and {how} always answering {nothing.other}"
        return f"Use none of these yet: {said}."
    reason = f"the best score measured, {score}"
    if (base := own.get("untuned")) and base.kind != "better":
        reason += f"; {base.other}, the untuned model, cannot be told from it on these rows"
    elif other := _cheaper(best, [row for row in others if units.name(row) in tied(verdicts)]):
        reason += (
            f"; {units.name(other)} cannot be told from it on these rows and takes "
            f"{other['train_seconds']:.0f} s instead of {best['train_seconds']:.0f} s to make"
        )
    return f"Use {name}: {reason}.{GO_ON}{predict_command(run)}"


def _cheaper(best: Mapping[str, Any], tied: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The tied row that was made in the least time, where that is worth a word."""
    dear = best["train_seconds"]
    found = [row for row in tied if row["train_seconds"] < 0.5 * dear < dear - WORTH_SAVING]
    return min(found, key=lambda row: row["train_seconds"], default=None)
