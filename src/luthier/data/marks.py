"""Marks at the end of answers, as files for other tools have them, and answers that are labels in disguise.

Fine-tuning services once wanted an end mark behind every completion (` END`, `###`, `<|endoftext|>`). Here the chat
template ends an answer: a mark would be learned and judged as words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from luthier.protocols import Chat, Judged, Labelled, Preference, Record

MARK = re.compile(r"\s*(<\|[^|<>\s]{1,40}\|>|</s>|<eos>|<end_of_turn>|\[EOS\]|#{3,}|(?<=\s)END)\s*$")
NEARLY_ALL = 0.9
MOST_LABELS, WORDS, CHARACTERS, REPEATS = 20, 5, 20, 5  # of answers that are labels: kinds, lengths, rows of each


@dataclass(frozen=True)
class Mark:
    """What stands at the end of that many answers and is not learned."""

    text: str
    rows: int


@dataclass(frozen=True)
class Disguise:
    """Answers that look like labels. labels: the commonest first. option: what reads them as such, where one can."""

    labels: tuple[str, ...]
    rows: int
    option: str


def find_mark(records: Sequence[Record]) -> Mark | None:
    """The mark that nearly every answer ends with."""
    found = Counter(match[1] for record in records if (match := MARK.search(_answer(record))))
    if not found:
        return None
    text, rows = found.most_common(1)[0]
    return Mark(text, rows) if rows >= NEARLY_ALL * len(records) else None


def cut_off(
    records: Sequence[Record], lines: Sequence[int], mark: Mark | None
) -> tuple[list[Record], list[int], list[tuple[int, str]]]:
    """Records and their lines without the mark behind their answers; lines of answers that are nothing else."""
    if mark is None:
        return list(records), list(lines), []
    cut = [(_without(record, mark), line) for record, line in zip(records, lines, strict=True)]
    kept = [(record, line) for record, line in cut if record is not None]
    return [r for r, _ in kept], [line for _, line in kept], [(line, mark.text) for r, line in cut if r is None]


def _without(record: Record, mark: Mark) -> Record | None:
    """The record without the mark behind its answers; None where an answer is nothing else."""

    def cut(text: str) -> str:
        padded = f" {text}"  # an answer that is nothing else has its mark, too
        found = MARK.search(padded)  # by the pattern: BACKEND and #### end otherwise than END and ###
        return padded[1 : found.start()] if found and found[1] == mark.text else text

    if isinstance(record, Labelled):
        changed: Record = replace(record, label=cut(record.label))
    elif isinstance(record, Judged):
        changed = replace(record, answer=cut(record.answer))
    elif isinstance(record, Preference):
        changed = replace(record, chosen=cut(record.chosen), rejected=cut(record.rejected))
    elif isinstance(record, Chat):
        turns = (replace(m, content=cut(m.content)) if m.role == "assistant" else m for m in record.messages)
        changed = Chat(tuple(turns))
    else:
        return record
    return changed if changed.wanted else None


def _answer(record: Record) -> str:
    if isinstance(record, Chat):
        return record.messages[-1].content
    return record.wanted if isinstance(record, Labelled | Judged | Preference) else ""


def disguised(records: Sequence[Record], columns: Mapping[str, str]) -> Disguise | None:
    """The labels that the answers of questions alone are, or None. columns: the column of each field that is used."""
    if not records or not all(isinstance(record, Chat) and len(record.messages) == 2 for record in records):
        return None
    answers = Counter(record.wanted.strip() for record in records)
    short = all(len(text) <= CHARACTERS and len(text.split()) <= WORDS for text in answers)
    if not short or not 2 <= len(answers) <= MOST_LABELS or len(records) < REPEATS * len(answers):
        return None
    return Disguise(tuple(text for text, _ in answers.most_common()), len(records), _option(records, columns))


def _option(records: Sequence[Record], columns: Mapping[str, str]) -> str:
    answer = next((columns[field] for field in ("completion", "output", "answer") if field in columns), None)
    asked = [field for field in ("prompt", "question", "instruction", "input") if field in columns]
    first = {record.messages[0].content.partition("\n")[0] for record in records if isinstance(record, Chat)}
    if asked == ["instruction", "input"] and len(first) == 1:
        asked = ["input"]  # the instruction is the same everywhere
    if answer is None or len(asked) != 1 or {"system", "context", "history", "tools"} & set(columns):
        return ""
    return f"--map {columns[asked[0]]}=text,{answer}=label"
