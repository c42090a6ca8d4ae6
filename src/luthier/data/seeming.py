"""Answers that only seem answers: all the same, empty, labels in disguise, one text again and again, blanks.

What is hopeless stops a comparison or a run unless the user wants it anyway; the rest is said in sentences, each with
its Chinese in the report's dictionary (`said_data_...`).
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from luthier.command import maps, with_map
from luthier.data import blanks
from luthier.data.making import instead
from luthier.data.marks import disguised
from luthier.data.notes import columns
from luthier.errors import LuthierError
from luthier.protocols import Chat, Judged, Preference, Record

if TYPE_CHECKING:
    from luthier.config import DataConfig
    from luthier.data.read import Table

COMMON, FEWEST = 0.2, 10  # the share of the commonest answer that is worth a word, and of how many rows
SHOWN = 60  # characters of an answer


def notes(table: Table, learned: Sequence[Record], config: DataConfig, name: str) -> Iterator[str]:
    """What is worth a word about the answers of a table, with the command that helps. learned: what is imitated.

    config: how the table was asked for. name: of the file.
    """
    if preferred := sum(isinstance(record, Preference) for record in table.records):
        yield (
            f"{name}: {preferred} rows have a preferred and a rejected answer: the methods here learn the preferred "
            "ones and do not use the rejected ones."
        )
    judged = sum(isinstance(record, Judged) for record in table.records)
    if judged and (unjudged := len(table.records) - judged):
        yield f"{name}: {unjudged} of {len(table.records)} answers have no verdict and are learned like good ones."
    if reason := hopeless(learned):
        yield f"{name}: {reason}."
    elif found := disguised(learned, columns(table)):
        option = "" if judged or config.pair else found.option or _of_turns(table)
        shown = ", ".join(found.labels[:5]) + (", ..." if len(found.labels) > 5 else "")
        said = f"{name}: its {found.rows} answers are {len(found.labels)} short texts ({shown}), as labels are"
        command = _command(config, columns=option.removeprefix("--map "))
        yield f"{said}: {command} reads them as labels." if option else f"{said}, and read as generation."
    else:
        yield from _common(learned, name)
    if open_ := blanks.find(table.records):
        places = ", ".join(f"{place} ({rows})" for place, rows in open_.names[:8])
        said = (
            f"{name}: {open_.rows} of {len(table.records)} rows hold blanks of a template that nobody filled "
            f"(in questions: {open_.asked}, in answers: {open_.answers}): {places}"
        )
        values = ",".join(f"{place}=VALUE" for place in open_.fillable if not set(place) & set(",="))
        yield f"{said}; {_command(config, fill=values)} fills them." if values else f"{said}."


def _of_turns(table: Table) -> str:
    """What reads the questions and the answers of conversations of one turn as texts and labels, or ""."""
    names, keys = columns(table), [key for key in table.keys if key.level == "message"]
    field = next((name for name in ("messages", "conversations") if name in names), "")
    said = [key.name for key in keys if key.used and key.name in ("content", "value")]
    parted = any(key.level == "part" for key in table.keys)
    if not field or len(said) != 1 or parted or any(key.off for key in keys) or set(names) - {field, "system"}:
        return ""
    return f"--map {names[field]}[-2].{said[0]}=text,{names[field]}[-1].{said[0]}=label"


def hopeless(learned: Sequence[Record]) -> str:
    """Why nothing can be learned from these answers, or ""."""
    answers: set[str] = set()
    for record in learned:
        answers.update(" ".join(answer.split()) for answer in _answers(record))
        if len(answers) > 1:
            return ""
    if not answers or len(learned) < 2:
        return ""
    (answer,) = answers
    if not answer:
        return f"all {len(learned)} answers are empty"
    return f"all {len(learned)} answers are the same ({_short(answer)})"


def check(learned: Table, path: str) -> None:
    """Raise LuthierError where all answers are the same: every method would learn to say that, whatever is asked."""
    if reason := hopeless(learned.records):
        raise LuthierError(f"{path}: {reason}: there is nothing to learn from them. {instead(learned.layout)}")


def _answers(record: Record) -> Iterator[str]:
    """All answers of a conversation that are learned."""
    if isinstance(record, Chat):
        yield from (message.said for message in record.messages if message.role == "assistant" and message.learned)


def _common(learned: Sequence[Record], name: str) -> Iterator[str]:
    answers = Counter(" ".join(record.wanted.split()) for record in learned if isinstance(record, Chat))
    if answers.total() < FEWEST:
        return
    ((answer, rows),) = answers.most_common(1)
    if rows > COMMON * answers.total():
        share = f"{rows / answers.total():.0%}"
        yield f"{name}: the commonest answer stands in {rows} of {answers.total()} rows ({share}): {_short(answer)}"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _command(config: DataConfig, columns: str = "", fill: str = "") -> str:
    """The comparison of the same rows with another mapping (which needs no instruction), or with blanks to fill."""
    if columns and maps():
        pairs = (pair.rpartition("=") for pair in columns.rsplit(",", 1))
        return with_map(config.path, {name: field for name, _, field in pairs})
    columns, told = columns or _joined(config.map), "" if columns else config.instruction
    fill = ",".join(filter(None, (_joined(config.fill), fill)))
    options = {"test": config.test, "map": columns, "fill": fill, "encoding": config.encoding, "instruction": told}
    given = [word for name, value in options.items() if value for word in (f"--{name}", value)]
    return shlex.join(["luthier", "compare", config.path, *given, *(["--skip-bad"] if config.skip_bad else [])])


def _joined(values: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in values.items())
