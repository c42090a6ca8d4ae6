"""What was left out because it was too long, in words: of training rows, of test rows, and of worked examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from luthier.core.command import option
from luthier.core.phrases import say
from luthier.data.prompts import prompt_of
from luthier.data.shorten import Counted, known_as

if TYPE_CHECKING:
    from luthier.core.example import Example
    from luthier.core.records import Record


SHORTENED = {  # by part: of one row, of several
    "training": ("said_cut_training_one", "said_cut_training"), "test": ("said_cut_test_one", "said_cut_test"),
}  # fmt: skip


def begin(lm: Any) -> None:
    """Forget the prompts so far: what is said is about those that follow."""
    _counted(lm).clear()


def of_training(examples: Sequence[Example], rows: int, limit: int) -> list[str]:
    """Of so many training rows: those that were shortened, those with nothing to learn, and what answers lost."""
    out = shortened(len({e.source for e in examples if e.cut}), rows, "training", limit)
    known = {"all": f"{rows:,}", "limit": f"{limit:,}"}
    if empty := rows - len({e.source for e in examples}):
        one = say("said_cut_unlearned_one", **known)
        out.append(one if empty == 1 else say("said_cut_unlearned", rows=f"{empty:,}", **known))
    if lost := sum(e.lost for e in examples):
        ends = len({e.source for e in examples if e.lost})
        out.append(say("said_cut_ends", rows=f"{ends:,}", lost=f"{lost:,}", **known))
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
        limit = getattr(lm, "limit", lm.context)
        out.append(say("said_cut_examples", limit=limit, rows=len(counted.fewer), all=len(counted.asked)))
    return out


def shortened(rows: int, of: int, part: str, limit: int) -> list[str]:
    """The sentence about rows that were too long, if any were."""
    if not rows:
        return []
    known = {"all": f"{of:,}", "limit": f"{limit:,}", "option": option("--max-length", "objective.max_length")}
    one, several = SHORTENED[part]
    return [say(one, **known) if rows == 1 else say(several, rows=f"{rows:,}", **known)]


def _counted(lm: Any) -> Counted:
    """The count of the model that reads the prompts."""
    while lm is not None:
        if isinstance(found := getattr(lm, "counted", None), Counted):
            return found
        lm = getattr(lm, "lm", None)
    return Counted()
