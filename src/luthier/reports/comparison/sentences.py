"""A leaderboard in sentences, English and Chinese: verdicts, the recommendation, what the constant answer is called.

The one place where they are made; the terminal, the page, the card and the Python object show them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from luthier.comparison.leaderboard import CONSTANT, Recommendation, Verdict, recommendation_of, verdicts_of
from luthier.core.phrases import Phrase, say, table
from luthier.evals import formatting

Board = Mapping[str, Any]
FEW_STEPS = 50  # below, a run that collapsed had no time to recover
CALLED = {
    "label": "said_commonest_label", "labels": "said_commonest_labels", "median": "said_median",
    "answer": "said_commonest_answer",
}  # fmt: skip
AMOUNTS: Mapping[str, Callable[[float], str]] = {
    "cost": formatting.duration, "size": formatting.size, "latency": formatting.latency,
}  # fmt: skip


def verdicts(board: Board) -> list[str]:
    """What is worth saying of them, each pair once, what is worse than doing nothing first.

    Of a board of schema 1 the sentences that stand in it.
    """
    found, metric = verdicts_of(board), str(board["metric"])
    constants = {row["name"] for row in board["rows"] if row["method"] == CONSTANT}
    pairs = {frozenset((v.a, v.b)) for v in found if v.against == "untuned" and v.a not in constants}
    floored = {v.a for v in found if v.against == "constant"}

    def worth(v: Verdict) -> bool:
        if v.against == "constant":
            return v.kind != "better"
        if v.against == "untuned":
            return v.a not in constants
        return not ({v.a, v.b} in pairs or (v.b in constants and v.a in floored))

    said = sorted(filter(worth, found), key=lambda v: not (v.kind == "worse" and v.against != "best"))
    return [*(board.get("said") or ()), *(_verdict(v, metric, board) for v in said)]


def about(board: Board, name: str) -> list[str]:
    """The sentences about one row."""
    told = {(v.a, v.b) for v in verdicts_of(board) if name in (v.a, v.b)}
    return [s for s in verdicts(board) if isinstance(s, Phrase) and _pair(s) in told]


def _pair(phrase: Phrase) -> tuple[str, str]:
    return phrase.values["method"], phrase.values.get("other", CONSTANT)  # type: ignore[return-value]


def constant(board: Board) -> Phrase:
    """What the constant answer is called."""
    found = board.get("constant") or {"kind": "answer", "answer": formatting.DASH}
    return say(CALLED[found["kind"]], answer=found["answer"])


def _verdict(v: Verdict, metric: str, board: Board) -> Phrase:
    down = v.difference < 0 or (v.kind == "worse")
    apart = _apart(v, metric, -1 if v.kind == "worse" or (v.kind == "unsure" and down) else 1)
    if v.against == "best":
        if v.kind == "tied":
            return say("said_tied", method=v.a, other=v.b)
        key = "said_seems_behind" if v.kind == "unsure" else "said_behind"
        return say(key, method=v.a, other=v.b, **apart)
    if v.against == "constant":
        key = {"worse": "said_below", "tied": "said_level"}.get(v.kind, f"said_seems_{'below' if down else 'above'}")
        return say(key, method=v.a, constant=constant(board), **apart)
    named = {"method": v.a, "other": v.b}
    if v.collapsed:
        key = "said_collapsed" if (v.steps or 0) < FEW_STEPS else "said_collapsed_rate"
        return say(key, **named, steps=v.steps, **apart)
    if v.kind == "unsure":
        return say("said_seems_worse" if down else "said_seems_better", **named, **apart)
    return say({"better": "said_beats", "worse": "said_worse"}.get(v.kind, "said_same"), **named, **apart)


def at_once(board: Board) -> Phrase | None:
    """That the intervals of all differences hold together; None where there are no several."""
    rows = len(formatting.finished(board))
    return say("said_at_once", rows=rows) if rows > 2 and verdicts_of(board) else None


def winner(board: Board) -> Phrase | None:
    """The best score, corrected for having been chosen; None where nothing was chosen, or by an earlier version."""
    found = board.get("winner")
    if not found or found["of"] < 2:
        return None
    metric = str(board["metric"])
    low, high = (points(end, metric) for end in found["ci95"])
    corrected = points(found["corrected"], metric)
    return say("said_winner", method=found["name"], of=found["of"], score=corrected, low=low, high=high)


def lopsided(board: Board) -> Phrase | None:
    """That one label has most of the test rows, and what to compare by instead; None where that is not so."""
    if not (found := board.get("lopsided")):
        return None
    share = f"{100 * found['share']:.0f}"
    return say("said_lopsided", share=share, label=found["label"], command=found["command"])


def points(value: float, metric: str) -> str:
    """A score or a difference in points."""
    return f"{value * formatting.scale(metric):.1f}"


def _apart(v: Verdict, metric: str, sign: int = 1) -> dict[str, str]:
    low, high = sorted(sign * end for end in v.interval)
    return {"difference": points(sign * v.difference, metric), "low": points(low, metric), "high": points(high, metric)}


def recommendation(board: Board) -> Phrase | None:
    """What to use, with its reason; None for a board of schema 1, whose sentence is among the verdicts."""
    found = recommendation_of(board)
    if found is None:
        return None
    return say("said_none") if found.kind == "none" else _recommended(found, board)


def _recommended(found: Recommendation, board: Board) -> Phrase:
    metric = str(board["metric"])
    low, high = found.interval or (0.0, 0.0)
    named = f"name_{metric}"
    values: dict[str, object] = {
        "method": found.name, "score": points(found.score or 0.0, metric), "low": points(low, metric),
        "high": points(high, metric), "metric": say(named) if named in table()["en"] else metric,
    }  # fmt: skip
    if found.kind in ("constant", "level", "below"):
        key = "said_use_none" if found.kind == "constant" else f"said_use_none_{found.kind}"
        return say(f"{key}_unsure" if found.unsure else key, **values, constant=constant(board))
    if found.kind == "untuned":
        key = "said_use_untuned_unsure" if found.unsure else "said_use_untuned"
        return say(key, **values, base=found.other)
    if found.kind in AMOUNTS and found.amounts:
        little, much = map(AMOUNTS[found.kind], found.amounts)
        return say(f"said_use_{found.kind}", **values, other=found.other, little=little, much=much)
    if found.kind == "cheaper" and found.seconds:
        cheap, dear = (f"{s:.0f}" for s in found.seconds)
        return say("said_use_cheaper", **values, other=found.other, cheap=cheap, dear=dear)
    return say("said_use", **values)


def recommended(board: Board) -> formatting.Row | None:
    """The row of the recommendation."""
    found = recommendation_of(board)
    return next((row for row in board["rows"] if found and formatting.name(row) == found.name), None)


def go_on(board: Board) -> str:
    """The command to go on with, or ""."""
    found = recommendation_of(board)
    return found.command if found else ""


def last_line(board: Board) -> str:
    """The recommendation with its command, in English; "" for a board of schema 1."""
    said, command = recommendation(board), go_on(board)
    return f"{said} Go on with: {command}" if command else str(said or "")


def curve(entry: Mapping[str, Any], metric: str) -> str:
    """How many rows a method needs, with the intervals it rests on; of a board of schema 1 the sentence in it."""
    if "behind" not in entry:
        return str(entry["sentence"])
    name, behind = entry["name"], {int(n): found for n, found in entry["behind"].items()}
    if not behind:
        return say("said_rows_none", method=name)
    last, need, before = entry["points"][-1]["rows"], entry["enough"], max(behind)
    shown = before if need == last else need
    key = f"said_rows_{'all' if need == last else 'some'}_{'gain' if entry['more_helps'] else 'no_gain'}"
    values = {"method": name, "last": last, "need": shown, "before": before, "after": last}
    return say(key, **values, **_named(behind[shown], metric, "apart", "low", "high"),
               **_named(behind[before], metric, "gain", "from", "to"))  # fmt: skip


def _named(found: Sequence[float], metric: str, *names: str) -> dict[str, str]:
    return {name: points(x, metric) for name, x in zip(names, found, strict=True)}


def curve_of(board: Board) -> str:
    """The sentence about the method that decides: the best, or the best that has a curve."""
    found = board["curve"]
    if "main" not in found:
        return str(found["sentence"])
    entry = next((e for e in found["methods"] if e["name"] == found["main"]), None)
    return curve(entry, str(board["metric"])) if entry else say("said_rows_no_method")
