"""What tasks want, in words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from luthier.core.phrases import Phrase, say
from luthier.core.records import Compared, Judged, Record, Task

WRITTEN: frozenset[Task] = frozenset({"generation", "preference"})  # what is wanted is written
GIVES: dict[Task, str] = {
    "classification": "said_gives_labels",
    "multilabel": "said_gives_several",
    "regression": "said_gives_numbers",
    "generation": "said_gives_text",
    "text": "said_gives_likelihoods",
    "preference": "said_gives_preferences",
}


def preferring(records: Sequence[Record]) -> str:
    """The objective that learns from such preferences where nobody names one: answers judged alone have no pairs."""
    return "kto" if any(isinstance(record, Judged) for record in records) else "dpo"


def without_pairs(records: Sequence[Record], name: str) -> Phrase | None:
    """Why a method cannot learn from rows that hold no comparison; None where they do, or where there is no row."""
    if not records or any(isinstance(record, Compared) for record in records):
        return None
    return say("said_refused_pairs", name=name)


def unfit(name: str, tasks: Sequence[Task], task: Task) -> Phrase:
    """Why a method or an objective for some tasks does not suit another, in a sentence."""
    gives = reduce(lambda one, other: say("said_or", one=one, other=other), (say(GIVES[t]) for t in tasks))
    return say("said_refused_task", method=name, gives=gives, wants=say(GIVES[task]))
