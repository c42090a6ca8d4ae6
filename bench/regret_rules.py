"""What `regret.py` computes from the boards and scores of a set that is finished, and how it is said. No model here."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Record = Mapping[str, Any]
Scores = Mapping[str, Sequence[float]]
CONSTANT, UNTUNED = "majority", "zero_shot"
NONE = ("constant", "level", "below", "none")  # kinds of a recommendation that advise to use none of these yet
NEAR = 1.0  # points
Z = 1.959964
RESAMPLES = 10_000
NOTHING = 1e-12


def times(budget: str, factor: int) -> str:
    """The budget so many times: 4k-tokens -> 40k-tokens, 90s -> 900s."""
    if not (found := re.fullmatch(r"(\d+(?:\.\d+)?)(k?-tokens|[smh])", budget)):
        raise ValueError(f"--budget {budget}: 300-tokens, 4k-tokens, 90s or 3m")
    size = float(found[1]) * factor
    return f"{int(size) if size.is_integer() else size}{found[2]}"


def order(rows: Sequence[Mapping[str, str]], judged: Sequence[Mapping[str, Any]]) -> list[int]:
    """Where each judged row stands among the rows of the file: a comparison brings its test rows into an order of its
    own. What was asked is a row's text, or an instruction and then its input. Raises ValueError where one is not there.
    """
    left: dict[str, list[tuple[str, int]]] = {}
    for at, row in enumerate(rows):
        text, wanted = (row.get(a, row.get(b, "")) for a, b in (("text", "input"), ("label", "output")))
        left.setdefault(" ".join(wanted.split()), []).append((" ".join(text.split()), at))
    places = []
    for row in judged:
        asked, wanted = (" ".join(row[key].split()) for key in ("asked", "wanted"))
        fit = [pair for pair in left.get(wanted, ()) if asked.endswith(pair[0])]
        if not fit:
            raise ValueError(f"a row was judged that is not in the file: {asked[:60]}")
        longest = max(fit, key=lambda pair: len(pair[0]))
        left[wanted].remove(longest)
        places.append(longest[1])
    return places


@dataclass(frozen=True)
class Followed:
    """What a user does who follows the advice. name: of what is used then, None where nothing is left to use.

    advised: "use" or "none". named: the row that the advice names, also where it says not to use it yet.
    """

    advised: str
    name: str | None
    named: str


def followed(board: Record, scored: Scores) -> Followed:
    """Advice to use none yet leaves what costs nothing: the constant answer where the task has one, else the untuned
    model. scored: what was scored on the large test set."""
    said = board["recommendation"]
    if said["kind"] not in NONE:
        return Followed("use", said["name"], said["name"])
    left = next((name for name in (CONSTANT, UNTUNED) if name in scored), None)
    return Followed("none", left, said.get("name", ""))


@dataclass(frozen=True)
class Regret:
    """Points by which the best of the large budget is above the control, with a 95 % interval of the true figure."""

    value: float
    low: float
    high: float

    @property
    def sure(self) -> str:
        """What the interval says of one point: "near" at most one, "far" more; "" holds both."""
        return "near" if self.high <= NEAR else "far" if self.low > NEAR else ""


def regret(large: Scores, control: Sequence[float], points: float, seed: int = 0) -> Regret:
    """How far the control is below the best of these, on the same rows.

    The control was chosen before these rows were seen, the best is chosen by them. So the differences of all methods to
    the control get intervals that hold at once (the largest studentised deviation of a paired bootstrap over rows), and
    the true distance to the truly best lies between the largest lower and the largest upper end.
    """
    apart = points * (np.array([large[name] for name in large], dtype=float) - np.asarray(control, dtype=float))
    value, rows = apart.mean(1), apart.shape[1]
    shares = np.random.default_rng(seed).multinomial(rows, np.full(rows, 1 / rows), size=RESAMPLES) / rows
    off = shares @ (apart - value[:, None]).T
    spread = off.std(0)
    some = spread > NOTHING
    wide = float(np.quantile(np.abs(off[:, some] / spread[some]).max(1), 0.95)) if some.any() else 0.0
    low, high = (float((value + sign * wide * spread).max()) for sign in (-1, 1))
    return Regret(float(value.max()), low, high)


@dataclass(frozen=True)
class Held:
    """Whether what the winner's run is worth on the large test set lies in the interval of the small one.

    kind: "yes", "no", or "noise": outside, but by less than the large test set's own 95 % noise. expected: how often
    an exact 95 % interval would hold, since the large test set is a sample too.
    """

    kind: str
    score: float
    expected: float


def held(winner: Record, on_truth: Sequence[float], few: int) -> Held:
    """winner: of the small board, whose test set has so few rows. on_truth: its run's scores on the large one."""
    rows = np.asarray(on_truth, dtype=float)
    score, half = float(rows.mean()), Z * float(rows.std()) / math.sqrt(len(rows))
    low, high = winner["ci95"]
    kind = "yes" if low <= score <= high else "noise" if low - half <= score <= high + half else "no"
    return Held(kind, score, math.erf(Z / math.sqrt(1 + few / len(rows)) / math.sqrt(2)))


@dataclass(frozen=True)
class Outcome:
    """One set. method: regret of the advised method at the large budget; run: of its run at the small one, None where
    it has no score there. named: the method regret of the row that "none" names. held: None where nothing was scored.
    best: the best at the large budget."""

    record: Record
    followed: Followed
    best: str
    method: Regret | None
    run: Regret | None
    named: Regret | None
    held: Held | None


def outcome(record: Record) -> Outcome:
    """Everything about a set from what its file keeps (`regret.py` writes it)."""
    small, large = record["small"], record["large"]
    scores, points = record["scores"], record["points"]
    there = {row["name"]: scores["large"][row["name"]] for row in large["rows"] if row["status"] == "ok"}
    way = followed(small, scores["large"])

    def of(control: Sequence[float] | None) -> Regret | None:
        return regret(there, control, points) if control is not None and there else None

    at_large, at_small = (scores[size].get(way.name) if way.name else None for size in ("large", "small"))
    if way.advised == "none":  # what is used then is not trained: it is the same at both
        at_small = at_large
    win = small.get("winner")
    run = scores["small"].get(win["name"]) if win else None
    return Outcome(
        record,
        way,
        max(there, key=lambda name: float(np.mean(there[name])), default=""),
        of(at_large),
        of(at_small),
        of(scores["large"].get(way.named)) if way.advised == "none" else None,
        held(win, run, record["rows"]["few"]) if win and run is not None else None,
    )


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    share, scale, middle = hits / of, 1 + Z * Z / of, hits / of + Z * Z / (2 * of)
    half = Z * math.sqrt(share * (1 - share) / of + Z * Z / (4 * of * of))
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def mean_over_sets(values: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """The mean with the percentile interval of a bootstrap over sets."""
    found = np.asarray(values, dtype=float)
    drawn = np.random.default_rng(seed).integers(0, len(found), (RESAMPLES, len(found)))
    low, high = np.percentile(found[drawn].mean(1), [2.5, 97.5])
    return float(found.mean()), float(low), float(high)
