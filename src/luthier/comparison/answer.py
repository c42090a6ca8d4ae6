"""One plain answer: does tuning pay on these rows, what would more of them or of the budget bring, what did it cost.

`answer` decides and gives data, which stands in leaderboard.json; `told` says it in both languages. Tuned is what
learned weights from the rows, if only a classifier on frozen features; the others word, show or look up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Literal

from luthier.comparison.leaderboard import BASELINE, CONSTANT, Verdict
from luthier.comparison.verdicts import Floor
from luthier.evals import formatting
from luthier.evals.bootstrap import Bootstrap, Interval

Kind = Literal["pays", "pays_not", "unsure", "collapsed", "useless", "no_tuned", "no_untuned", "cannot", "nothing"]
MATTERS = 1.0  # points: a difference that is surely smaller is not worth training for
MOST_ROWS = 100_000  # test rows: to need more is to say that nothing can be told
STILL_FALLING = 0.9  # of the third quarter's loss: the last quarter's, where training had not come to its end
FEWEST = 8  # points of a curve that say where it goes


@dataclass(frozen=True)
class Answer:
    """tuned, untuned: the best row of each side. interval: of their difference on the same test rows, in points, wide
    enough to hold for whichever two would have been the best.

    rows_needed: test rows that would tell a difference of this size, where these cannot. rows: test rows.
    """

    kind: Kind
    tuned: str = ""
    untuned: str = ""
    interval: tuple[float, float, float] | None = None
    rows_needed: int | None = None
    rows: int = 0


def answer(
    rows: Sequence[Mapping[str, Any]], verdicts: Sequence[Verdict], floor: Floor | None, bootstrap: Bootstrap,
    metric: str,
) -> Answer:  # fmt: skip
    """What the finished rows (the best first) say of tuning."""
    ok = [row for row in rows if row["status"] == "ok"]
    if not ok:
        return Answer("nothing")
    count = int(bootstrap.scores[ok[0]["name"]].shape[1])
    tuned = [row["name"] for row in ok if row.get("tuned")]
    untuned = [row["name"] for row in ok if not row.get("tuned") and row["method"] != CONSTANT]
    first, second = next(iter(tuned), ""), next(iter(untuned), "")
    if floor and (ok[0]["method"] == CONSTANT or _no_better(verdicts, ok[0]["name"])):
        return Answer("useless", first, second, rows=count)
    if not tuned:
        return Answer("no_tuned", first, second, rows=count)
    if not untuned:
        tried = any(row["method"] == BASELINE for row in rows)
        return Answer("cannot" if tried else "no_untuned", first, second, rows=count)
    apart = bootstrap.together(first, second)  # both were chosen
    scale = formatting.scale(metric)
    found = Answer("unsure", first, second, (apart.value * scale, apart.low * scale, apart.high * scale), rows=count)
    fallen = {v.a for v in verdicts if v.collapsed}
    if all(name in fallen for name in tuned):
        return _as(found, "collapsed")
    if apart.low > 0:
        return _as(found, "pays")
    if apart.high * scale < MATTERS:
        return _as(found, "pays_not")
    return _as(found, "unsure", _needed(apart, count))


def _no_better(verdicts: Sequence[Verdict], name: str) -> bool:
    return any(v.a == name and v.against == "constant" and v.kind != "better" for v in verdicts)


def _as(found: Answer, kind: Kind, needed: int | None = None) -> Answer:
    return Answer(**{**asdict(found), "kind": kind, "rows_needed": needed})


def _needed(apart: Interval, rows: int) -> int | None:
    """Test rows at which an interval of this width, which shrinks with the root of their number, leaves zero out."""
    if apart.value <= 0:
        return None
    needed = rows * ((apart.high - apart.low) / 2 / apart.value) ** 2
    step = 10 ** max(1, int(math.log10(needed)) - 1)
    return math.ceil(needed / step) * step if rows < needed < MOST_ROWS else None


def trend(losses: Sequence[float]) -> tuple[float, float, bool] | None:
    """Mean training loss of the third and the last quarter of a run, and whether it was still falling; None for few.

    Falling means lower by a tenth, and by more than two standard errors.
    """
    if len(losses) < FEWEST:
        return None
    quarter = len(losses) // 4
    third, last = losses[-2 * quarter : -quarter], losses[-quarter:]
    a, b = fmean(third), fmean(last)
    spread = sum((x - a) ** 2 for x in third) + sum((x - b) ** 2 for x in last)
    error = math.sqrt(spread / max(2 * quarter - 2, 1) * 2 / quarter)
    return a, b, b < STILL_FALLING * a and a - b > 2 * error
