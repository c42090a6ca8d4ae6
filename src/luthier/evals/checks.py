"""Answers that can be checked: functions that rewards name, as in `reward: luthier.evals.checks:same_number`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError

if TYPE_CHECKING:
    from luthier.core.records import Record

NUMBER = re.compile(r"(?<![\w.])[-−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")


def same_number(prompt: Any, answer: str, row: Record) -> float:
    """1 where the last number in an answer is the last one of the row's own answer, else 0.

    Raises LuthierError for a row whose answer has no number.
    """
    wanted = _last(row.wanted)
    if wanted is None:
        raise LuthierError(f"same_number: the row's own answer has no number: {row.wanted[:60]!r}")
    return float(_last(answer) == wanted)


def _last(text: str) -> float | None:
    found = NUMBER.findall(text)
    return float(found[-1].replace(",", "").replace("−", "-")) if found else None
