"""Rows whose conversation a model cannot be given as the row says it: found before anything is trained or asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from luthier.core.errors import Refused
from luthier.core.phrases import say
from luthier.core.records import Chat, Record
from luthier.core.split import Split
from luthier.data.chat import Verdict, verdict
from luthier.data.prompts import GENERATE
from luthier.data.rendering import carries_more


@dataclass(frozen=True)
class Written:
    """How a model is given rows. refused: places of rows that it cannot be given, with the reason.

    unnamed, rewritten: how many rows lose a speaker's name, or have earlier words changed that are not learned.
    """

    rows: int
    refused: tuple[tuple[int, str], ...] = ()
    unnamed: int = 0
    rewritten: int = 0


def written(lm: Any, records: Sequence[Record]) -> Written:
    """Every conversation as `lm` would be given it. A model behind an address is not asked."""
    found = [_verdict(lm, record) for record in records]
    return Written(
        len(records),
        tuple((i, each.reason) for i, each in enumerate(found) if each.reason),
        sum(each.unnamed for each in found),
        sum(each.rewritten for each in found),
    )


def _verdict(lm: Any, record: Record) -> Verdict:
    if not isinstance(record, Chat) or getattr(lm, "remote", False):
        return Verdict()
    if getattr(lm, "templated", False):
        return verdict(lm.tokenizer, record.messages)
    if carries_more(record.messages):
        return Verdict(say("said_template_words"))
    return Verdict("", any(message.name for message in record.messages))


def chat_only(lm: Any, data: Split) -> Any:
    """The model, with the chat wording alone where conversations have tools, calls or reasoning.

    Raises Refused where the user chose a plain wording.
    """
    rows = (*data.train, *data.validation, *data.test)
    if not any(isinstance(record, Chat) and carries_more(record.messages) for record in rows):
        return lm
    if lm.only and not lm.only.chat:
        raise Refused(say("said_refused_plain", name=lm.only.name))
    return lm if lm.only else lm.asked(only=GENERATE[0])


def check_written(lm: Any, data: Split) -> tuple[str, ...]:
    """Notes on what the model is not given and does not learn. Raises Refused where rows cannot be written."""
    found = written(lm, (*data.train, *data.validation, *data.test))
    if found.refused:
        count, (_, reason) = len(found.refused), found.refused[0]
        raise Refused(say("said_refused_unwritten", count=count, rows=found.rows, reason=reason))
    return tuple(notes(found))


def notes(found: Written) -> Iterable[str]:
    """What is worth a word of rows that can be written."""
    if found.unnamed:
        yield say("said_unnamed", rows=found.unnamed)
    if found.rewritten:
        yield say("said_rewritten", rows=found.rewritten)
