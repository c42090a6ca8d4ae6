"""What was left out because it was too long, in words: of training rows, of test rows, and of worked examples.

The report says the same in Chinese (`said_cut_…` in `compare/page/words.json`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from luthier.command import option
from luthier.data.prompts import prompt_of
from luthier.data.shorten import Counted, known_as

if TYPE_CHECKING:
    from luthier.data.pack import Example
    from luthier.protocols import Record


def begin(lm: Any) -> None:
    """Forget the prompts so far: what is said is about those that follow."""
    _counted(lm).clear()


def of_training(examples: Sequence[Example], rows: int, limit: int) -> list[str]:
    """Of so many training rows: those that were shortened, those with nothing to learn, and what answers lost."""
    out = shortened(len({e.source for e in examples if e.cut}), rows, "training", limit)
    if empty := rows - len({e.source for e in examples}):
        have = "has" if empty == 1 else "have"
        out.append(f"{empty:,} of {rows:,} training rows {have} nothing to learn within max_length ({limit:,} tokens)")
    if lost := sum(e.lost for e in examples):
        ends = len({e.source for e in examples if e.lost})
        out.append(
            f"training rows with an answer of more than {limit:,} tokens, of which {lost:,} in all are not learned: "
            f"{ends:,} of {rows:,}"
        )
    return out


def of_rows(lm: Any, rows: Sequence[Record], part: str) -> list[str]:
    """Of these rows that a model was asked since `begin`: those that were shortened. part: training or test."""
    known = _counted(lm).shortened
    limits = [known[key] for key in map(known_as, map(prompt_of, rows)) if key in known]
    return shortened(len(limits), len(rows), part, max(limits, default=0))


def of_test(lm: Any, rows: Sequence[Record]) -> list[str]:
    """`of_rows` of test rows, and what else the context window left out."""
    counted = _counted(lm)
    out = of_rows(lm, rows, "test")
    if counted.fewer:
        whole = f"{len(counted.fewer)} of {len(counted.asked)} questions were asked with fewer examples"
        out.append(f"context of {getattr(lm, 'limit', lm.context)} tokens: {whole}")
    return out


def shortened(rows: int, of: int, part: str, limit: int) -> list[str]:
    """The sentence about rows that were too long, if any were."""
    if not rows:
        return []
    were = "was" if rows == 1 else "were"
    few = f"{rows:,} of {of:,} {part} rows {were} shortened to {limit:,} tokens"
    sets = option("--max-length", "objective.max_length")
    return [f"{few} ({sets} sets it): the middle of the longest text gave way"]


def _counted(lm: Any) -> Counted:
    """The count of the model that reads the prompts."""
    while lm is not None:
        if isinstance(found := getattr(lm, "counted", None), Counted):
            return found
        lm = getattr(lm, "lm", None)
    return Counted()
