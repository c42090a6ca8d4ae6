"""Marks at the end of answers, as files for other tools have them, and answers that are labels in disguise.

Fine-tuning services once wanted an end mark behind every completion (` END`, `###`, `<|endoftext|>`). Here the chat
template ends an answer: a mark would be learned and judged as words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from luthier.core.records import Chat, Compared, Judged, Labelled, Message, Preference, Ranking, Record, Scored

TOKEN = re.compile(  # of any model, at the end of a text
    r"(<\|[^|<>\s]{1,40}\|>|<｜[^｜<>\s]{1,60}｜>|</s>|(?i:<(?:eos|eot|eod|end|pad|sep|end_of_turn|end_of_text)>"
    r"|\[(?:EOS|EOT|EOD|END|PAD|SEP|DONE|STOP)\]))$"
)
WORD = re.compile(r"(#{3,}|(?<=\s)END)$")  # by the pattern: BACKEND and #### end otherwise than END and ###
LONGEST = 80  # characters of a mark
NEARLY_ALL = 0.9
MOST_LABELS, WORDS, CHARACTERS, REPEATS = 20, 5, 20, 5  # of answers that are labels: kinds, lengths, rows of each


@dataclass(frozen=True)
class Mark:
    """What stands at the end of that many answers and is not learned; more: other special tokens that do, too."""

    text: str
    rows: int
    more: tuple[str, ...] = ()

    def __str__(self) -> str:
        """All of it, the commonest first."""
        return " or ".join((self.text, *self.more))


@dataclass(frozen=True)
class Disguise:
    """Answers that look like labels. labels: the commonest first. option: what reads them as such, where one can."""

    labels: tuple[str, ...]
    rows: int
    option: str


def find_mark(records: Sequence[Record]) -> Mark | None:
    """The mark that nearly every answer ends with: special tokens, or a word."""
    ends = [end for record in records if (end := _end(_answer(record)))]
    for special in (True, False):
        found = Counter(text for _, text in ends if (TOKEN.search(text) is not None) is special)
        if not found:
            continue
        (text, rows), *others = found.most_common()
        rows = found.total() if special else rows
        if rows >= NEARLY_ALL * len(records):
            return Mark(text, rows, tuple(other for other, _ in others) if special else ())
    return None


def _end(text: str) -> tuple[int, str] | None:
    """Where the mark at the end of a text begins, with the space before it, and the mark: perhaps several tokens."""
    rest = f" {text.rstrip()}"  # an answer that is nothing else has its mark, too
    tokens: list[str] = []
    while found := TOKEN.search(rest, max(len(rest) - LONGEST, 0)):
        tokens.insert(0, found[1])
        rest = rest[: found.start()].rstrip()
    if not tokens and (found := WORD.search(rest, max(len(rest) - LONGEST, 0))):
        tokens, rest = [found[1]], rest[: found.start()].rstrip()
    return (max(len(rest) - 1, 0), "".join(tokens)) if tokens else None


def cut_off(
    records: Sequence[Record], lines: Sequence[int], mark: Mark | None
) -> tuple[list[Record], list[int], list[tuple[int, str]]]:
    """Records and their lines without the mark behind their answers; lines of answers that are nothing else."""
    if mark is None:
        return list(records), list(lines), []
    cut = [(_without(record, mark), line) for record, line in zip(records, lines, strict=True)]
    kept = [(record, line) for record, line in cut if record is not None]
    return [r for r, _ in kept], [line for _, line in kept], [(line, str(mark)) for r, line in cut if r is None]


def _without(record: Record, mark: Mark) -> Record | None:
    """The record without the mark behind its answers; None where an answer is nothing else."""

    def cut(text: str) -> str:
        found = _end(text)
        return text[: found[0]] if found and found[1] in (mark.text, *mark.more) else text

    if isinstance(record, Labelled):
        changed: Record = replace(record, label=cut(record.label))
    elif isinstance(record, Judged | Scored):
        changed = replace(record, answer=cut(record.answer))
    elif isinstance(record, Preference):
        changed = replace(record, chosen=cut(record.chosen), rejected=cut(record.rejected))
    elif isinstance(record, Ranking):
        changed = replace(record, texts=tuple(map(cut, record.texts)))
        return changed if all(changed.texts) else None
    elif isinstance(record, Chat):
        turns = (replace(m, content=cut(m.content)) if m.role == "assistant" else m for m in record.messages)
        changed = Chat(tuple(turns))
    else:
        return record
    return changed if changed.wanted else None


def _answer(record: Record) -> str:
    if isinstance(record, Chat):
        return record.messages[-1].content
    return record.wanted if isinstance(record, Labelled | Judged | Scored | Compared) else ""


def disguised(records: Sequence[Record], columns: Mapping[str, str]) -> Disguise | None:
    """The labels that the answers of questions alone are, or None. columns: the column of each field that is used.

    A system text that is the same everywhere is an instruction, and no part of a question.
    """
    if not records or not all(isinstance(r, Chat) and len(_spoken(r)) == 2 for r in records):
        return None
    answers = Counter(record.wanted.strip() for record in records)
    short = all(len(text) <= CHARACTERS and len(text.split()) <= WORDS for text in answers)
    if not short or not 2 <= len(answers) <= MOST_LABELS or len(records) < REPEATS * len(answers):
        return None
    return Disguise(tuple(text for text, _ in answers.most_common()), len(records), _option(records, columns))


def _spoken(record: Chat) -> list[Message]:
    return [message for message in record.messages if message.role not in ("system", "developer")]


def _option(records: Sequence[Record], columns: Mapping[str, str]) -> str:
    chats = [record for record in records if isinstance(record, Chat)]
    answer = next((columns[field] for field in ("completion", "output", "answer") if field in columns), None)
    asked = [field for field in ("prompt", "question", "instruction", "input") if field in columns]
    first = {_spoken(chat)[0].content.partition("\n")[0] for chat in chats}
    if asked == ["instruction", "input"] and len(first) == 1:
        asked = ["input"]  # the instruction is the same everywhere
    rules = {tuple(m.content for m in chat.messages[: -len(_spoken(chat))]) for chat in chats}
    if answer is None or len(asked) != 1 or len(rules) > 1 or {"context", "history", "tools"} & set(columns):
        return ""
    names = columns[asked[0]], answer
    return f"--map {names[0]}=text,{names[1]}=label" if not set(",=") & {*names[0], *names[1]} else ""
