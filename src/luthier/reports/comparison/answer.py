"""The answer on top of a comparison, in sentences of both languages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from luthier.core.phrases import Phrase, say
from luthier.evals import formatting
from luthier.reports.comparison import sentences


def told(board: Mapping[str, Any]) -> Iterator[Phrase]:
    """The answer's sentences in both languages, the headline first; nothing for a board of an earlier version."""
    found = board.get("answer")
    if not found:
        return
    yield _headline(found, board)
    if found.get("rows_needed"):
        yield say("answer_needed", rows=f"{found['rows_needed']:,}")
    if more := found.get("training"):
        values = {} if more["last"] is None else {name: f"{more[name]:.2f}" for name in ("third", "last")}
        key = "falling" if more["falling"] else "flat" if values else "passes"
        yield say(f"answer_{key}", method=found["tuned"], passes=_times(more["passes"]), **values)
    if found.get("curve"):
        yield say("answer_curve", sizes=",".join(map(str, found["curve"])))
    if spent := board.get("spent"):
        times = {name: formatting.duration(seconds) for name, seconds in spent.items() if seconds is not None}
        yield say("answer_spent" if "wall" in times else "answer_spent_part", **times)
    if thousand := found.get("thousand"):
        yield say("answer_thousand", method=thousand["method"], time=formatting.duration(thousand["seconds"]))


def _headline(found: Mapping[str, Any], board: Mapping[str, Any]) -> Phrase:
    values: dict[str, object] = {name: found[name] for name in ("tuned", "untuned", "rows")}
    values["constant"] = sentences.constant(board)
    if interval := found.get("interval"):
        values |= {name: f"{x:.1f}" for name, x in zip(("difference", "low", "high"), interval, strict=True)}
    return say(f"answer_{found['kind']}", **values)


def _times(passes: float) -> str:
    return f"{passes:.1f}" if passes < 9.95 else f"{passes:.0f}"
