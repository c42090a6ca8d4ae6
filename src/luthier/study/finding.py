"""What a study found, ready to be shown: a sentence, tables and pictures, each text in both languages.

The terminal and the page are made from the same finding, so that both say the same thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from luthier.core.phrases import Phrase, both

Cell = str | Phrase
Verdict = Literal["agrees", "differs", "open"]
VERDICTS: Mapping[str, Phrase] = {
    "agrees": both("agrees", "一致"),
    "differs": both("does not agree", "不一致"),
    "open": both("cannot tell", "无法判断"),
}


@dataclass(frozen=True)
class Table:
    """rows: as many cells as there are columns, the first the line's name. best: a row to stand out."""

    title: Phrase
    columns: Sequence[Phrase]
    rows: Sequence[Sequence[Cell]]
    best: int | None = None


@dataclass(frozen=True)
class Claim:
    """What a paper says, and whether this run bears it out."""

    says: Phrase
    source: str | Phrase
    verdict: Verdict


@dataclass(frozen=True)
class Finding:
    """sentence: what came out, in one. charts: as `reports.comparison` draws them. notes: what to know beside it."""

    sentence: Phrase
    claims: Sequence[Claim]
    tables: Sequence[Table]
    charts: Sequence[Mapping[str, Any]]
    notes: Sequence[Phrase] = field(default_factory=tuple)


def joined(parts: Sequence[Phrase], between: tuple[str, str] = (" ", "")) -> Phrase:
    """Several sentences as one text."""
    return both(between[0].join(p.text("en") for p in parts), between[1].join(p.text("zh") for p in parts))


def listed(names: Sequence[Cell]) -> Phrase:
    """a, b and c."""
    english = [n.text("en") if isinstance(n, Phrase) else n for n in names]
    chinese = [n.text("zh") if isinstance(n, Phrase) else n for n in names]
    tail = " and ".join([", ".join(english[:-1]), english[-1]] if len(english) > 1 else english)
    return both(tail, "、".join(chinese))
