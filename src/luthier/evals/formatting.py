"""Numbers of a leaderboard in words: scores, counts, bytes, times, and which rows come first.

Shared by the terminal table and the HTML report, so that both say the same thing. No function shows more digits than
the measurement carries, and a value that was not measured is a dash, never a zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from luthier.core.metric import scale as scale_of
from luthier.core.phrases import plain as plain
from luthier.core.phrases import say, table

Row = Mapping[str, Any]
DASH = "–"


def known(value: object) -> TypeGuard[float]:
    """True for a finite number: None, NaN and infinity all mean that nothing usable was measured."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def first_line(text: object, longest: int) -> str:
    """The first line of a message that may be a traceback, cut at `longest` characters; … says that there is more."""
    whole = plain(text).strip()
    line = (whole.splitlines() or [""])[0]
    return whole if line == whole and len(whole) <= longest else line[:longest].rstrip() + " …"


def _scaled(value: float, units: Sequence[str], step: float) -> str:
    """`value` with the largest unit that keeps it at 1 or more; one decimal below 100 unless it is exact."""
    sign, size = ("-" if value < 0 else ""), abs(value)
    for index, unit in enumerate(units):
        digits = 0 if size >= 99.95 or size == int(size) or index == 0 else 1
        if round(size, digits) < step or index == len(units) - 1:
            return f"{sign}{size:.{digits}f} {unit}".rstrip()
        size /= step
    raise AssertionError("units is never empty")


def count(value: float | None) -> str:
    """A number of things: 512, 12.3 k, 135 M, 1.2 B."""
    return _scaled(value, ("", "k", "M", "B", "T"), 1000) if known(value) else DASH


def size(value: float | None) -> str:
    """A number of bytes in powers of ten: 812 B, 4.2 MB."""
    return _scaled(value, ("B", "kB", "MB", "GB", "TB"), 1000) if known(value) else DASH


def duration(seconds: float | None) -> str:
    """A time span: 0 s, < 0.1 s, 4.2 s, 42 s, 3 m 12 s, 1 h 04 m."""
    if not known(seconds):
        return DASH
    if seconds < 0.05:
        return "0 s" if seconds <= 0 else "< 0.1 s"
    if seconds < 9.95:
        return f"{seconds:.{0 if seconds == int(seconds) else 1}f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s" if whole % 60 else f"{whole // 60} m"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} m" if minutes % 60 else f"{minutes // 60} h"


def latency(milliseconds: float | None) -> str:
    """Time for one example: 4.2 ms, 123 ms, 1.3 s."""
    if not known(milliseconds):
        return DASH
    if abs(milliseconds) >= 999.5:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.{1 if abs(milliseconds) < 9.95 else 0}f} ms"


def share(fraction: float | None) -> str:
    """A part of a whole as a percentage: 0 %, < 0.01 %, 0.34 %, 3.4 %, 100 %."""
    if not known(fraction):
        return DASH
    percent = 100 * fraction
    if 0 < percent < 0.005:
        return "< 0.01 %"
    digits = 0 if percent in (0, 100) else 2 if percent < 0.995 else 1
    return f"{percent:.{digits}f} %"


def signed(value: float | None, digits: int = 2) -> str:
    """A change with its sign, and none where it rounds to nothing: +0.12, -0.03, 0.00."""
    if not known(value):
        return DASH
    rounded = round(value, digits)
    return f"{rounded:+.{digits}f}" if rounded else f"{0:.{digits}f}"


def rate(value: float | None) -> str:
    """A learning rate: 3e-4, 2.5e-5."""
    if not known(value):
        return DASH
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def scale(metric: str) -> float:
    """What a stored score is multiplied by to be shown: shares such as accuracy are shown in points."""
    return scale_of(metric)


def score(value: float | None, metric: str) -> str:
    """A score in points with one decimal: more would be noise at any test set a person labels."""
    return f"{value * scale(metric):.1f}" if known(value) else DASH


def bounds(row: Row, metric: str) -> tuple[float, float] | None:
    """The row's 95 % interval in points, or None where none was computed."""
    interval = row.get("ci95")
    if not interval or len(interval) != 2 or not all(known(end) for end in interval):
        return None
    return float(interval[0]) * scale(metric), float(interval[1]) * scale(metric)


def interval_text(row: Row, metric: str) -> str:
    """The row's 95 % interval as `80.1 – 88.2`."""
    ends = bounds(row, metric)
    return f"{ends[0]:.1f} – {ends[1]:.1f}" if ends else DASH


def half_width(row: Row, metric: str) -> float | None:
    """Half the row's 95 % interval, in points: what stands after a ±."""
    ends = bounds(row, metric)
    return (ends[1] - ends[0]) / 2 if ends else None


def score_pm(row: Row, metric: str) -> str:
    """The row's score with its interval as `84.4 ± 4.1`."""
    half = half_width(row, metric)
    return score(row.get("score"), metric) + (f" ± {half:.1f}" if half is not None else "")


def name(row: Row) -> str:
    """What a row is called: its method, and with several models "METHOD on MODEL"; unique on a board."""
    return str(row.get("name") or row["method"])


def best(board: Mapping[str, Any]) -> Row | None:
    """The best row, by its name."""
    return next((row for row in board.get("rows", ()) if name(row) == board.get("best")), None)


def finished(board: Mapping[str, Any]) -> list[Row]:
    """The rows that have a result, best score first; a row without a score comes last."""
    rows = [row for row in board["rows"] if row.get("status") == "ok"]
    return sorted(rows, key=lambda row: -row["score"] if known(row.get("score")) else math.inf)


def unfinished(board: Mapping[str, Any]) -> list[Row]:
    """The rows that failed or were skipped, failures first, otherwise as they came."""
    rows = [row for row in board["rows"] if row.get("status") != "ok"]
    return sorted(rows, key=lambda row: row.get("status") != "failed")


def metric(name: str) -> str:
    """A metric's name with its unit, as on an axis; one of another package has no phrase, and says its own title."""
    from luthier.core.metric import title

    return say(f"metric_{name}") if f"metric_{name}" in table()["en"] else title(name)
