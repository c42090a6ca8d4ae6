"""Answers that only seem answers: all the same, empty, labels in disguise, one text again and again, blanks.

What is hopeless stops a comparison or a run unless the user wants it anyway; the rest is said.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from luthier.core.command import maps, with_map
from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.core.records import Chat, Compared, Judged, Preference, Ranking, Record
from luthier.data import blanks
from luthier.data.making import instead
from luthier.data.marks import disguised
from luthier.data.notes import columns

if TYPE_CHECKING:
    from luthier.data.read import Table
    from luthier.io.config import DataConfig

COMMON, FEWEST = 0.2, 10  # the share of the commonest answer that is worth a word, and of how many rows
SHOWN = 60  # characters of an answer


def notes(table: Table, learned: Sequence[Record], config: DataConfig, name: str) -> Iterator[str]:
    """What is worth a word about the answers of a table, with the command that helps. learned: what is imitated.

    config: how the table was asked for. name: of the file.
    """
    whole = len(table.records)
    if pairs := [record for record in table.records if isinstance(record, Preference)]:
        longer = sum(len(pair.chosen) > len(pair.rejected) for pair in pairs) / len(pairs)
        yield say("said_data_preferences", file=name, rows=len(pairs), longer=f"{longer:.0%}")
    if rankings := [record for record in table.records if isinstance(record, Ranking)]:
        answers, told = (sum(map(len, found)) for found in zip(*((r.texts, r.pairs) for r in rankings), strict=True))
        yield say("said_data_rankings", file=name, rows=len(rankings), answers=answers, pairs=told)
    if (votes := disagreement(table.records)).whole:
        yield say("said_data_disagree", file=name, rows=votes.rows, whole=votes.whole)
    judged = sum(isinstance(record, Judged) for record in table.records)
    if judged and (unjudged := whole - judged):
        yield say("said_data_unjudged", file=name, rows=unjudged, whole=whole)
    if (same := hopeless(learned)) is not None:
        empty = say("said_data_empty", file=name, rows=len(learned))
        yield say("said_data_same", file=name, rows=len(learned), answer=_short(same)) if same else empty
    elif found := disguised(learned, columns(table)):
        option = "" if judged or config.pair else found.option or _of_turns(table)
        shown = ", ".join(found.labels[:5]) + (", ..." if len(found.labels) > 5 else "")
        about = {"file": name, "rows": found.rows, "count": len(found.labels), "labels": shown}
        command = _command(config, columns=option.removeprefix("--map "))
        yield say("said_data_labels", **about, option=command) if option else say("said_data_labels_no_option", **about)
    else:
        yield from _common(learned, name)
    if open_ := blanks.find(table.records):
        places = ", ".join(f"{place} ({rows})" for place, rows in open_.names[:8])
        about = {"file": name, "rows": open_.rows, "whole": whole, "names": places}
        about |= {"asked": open_.asked, "answers": open_.answers}
        values = ",".join(f"{place}=VALUE" for place in open_.fillable if not set(place) & set(",="))
        fills = _command(config, fill=values)
        yield say("said_data_blanks_option", **about, option=fills) if values else say("said_data_blanks", **about)


class Disagreement(NamedTuple):
    """Of pairs that were compared more than once: how many there are, and how many were told apart in both ways."""

    rows: int
    whole: int


def disagreement(records: Sequence[Record]) -> Disagreement:
    """How far those who compared agree."""
    found: dict[object, list[bool]] = {}
    for record in (record for record in records if isinstance(record, Compared)):
        for better, worse in record.pairs:
            one, other = record.answers[better].strip(), record.answers[worse].strip()
            found.setdefault((record.asked, frozenset((one, other))), []).append(one < other)
    several = [votes for votes in found.values() if len(votes) > 1]
    return Disagreement(sum(len(set(votes)) > 1 for votes in several), len(several))


def _of_turns(table: Table) -> str:
    """What reads the questions and the answers of conversations of one turn as texts and labels, or ""."""
    names, keys = columns(table), [key for key in table.keys if key.level == "message"]
    field = next((name for name in ("messages", "conversations") if name in names), "")
    said = [key.name for key in keys if key.used and key.name in ("content", "value")]
    parted = any(key.level == "part" for key in table.keys)
    if not field or len(said) != 1 or parted or any(key.off for key in keys) or set(names) - {field, "system"}:
        return ""
    return f"--map {names[field]}[-2].{said[0]}=text,{names[field]}[-1].{said[0]}=label"


def hopeless(learned: Sequence[Record]) -> str | None:
    """What all of these answers say, so that nothing can be learned from them ("": nothing); None where they differ."""
    answers: set[str] = set()
    for record in learned:
        answers.update(" ".join(answer.split()) for answer in _answers(record))
        if len(answers) > 1:
            return None
    if not answers or len(learned) < 2:
        return None
    return answers.pop()


def check(learned: Table, path: str) -> None:
    """Raise LuthierError where all answers are the same: every method would learn to say that, whatever is asked."""
    if (same := hopeless(learned.records)) is not None:
        said = f"all {len(learned.records)} answers are {f'the same ({_short(same)})' if same else 'empty'}"
        raise LuthierError(f"{path}: {said}: there is nothing to learn from them. {instead(learned.layout)}")


def _answers(record: Record) -> Iterator[str]:
    """All answers of a conversation that are learned; of a pair, the preferred one."""
    if isinstance(record, Compared):
        yield record.wanted
    elif isinstance(record, Chat):
        yield from (message.said for message in record.messages if message.role == "assistant" and message.learned)


def _common(learned: Sequence[Record], name: str) -> Iterator[str]:
    answers = Counter(" ".join(record.wanted.split()) for record in learned if isinstance(record, Chat | Compared))
    if answers.total() < FEWEST:
        return
    ((answer, rows),) = answers.most_common(1)
    if rows > COMMON * answers.total():
        whole, share = answers.total(), f"{rows / answers.total():.0%}"
        yield say("said_data_common", file=name, rows=rows, whole=whole, share=share, answer=_short(answer))


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
