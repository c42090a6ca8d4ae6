"""Two files of lines: line i of the one is what is asked, line i of the other the answer, as translators have them.

The instruction is the user's, or follows from the languages that the files are called by: corpus.fr and corpus.en.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.data.languages import language_name
from luthier.data.source import Row, Source, Text, decode


def read_pair(pair: Sequence[str], encoding: str = "") -> Source:
    """The rows of two files, each with `input` and `output`. Raises LuthierError where they do not fit together."""
    first, second = map(Path, pair)
    one, other = decode(first, encoding), decode(second, encoding)
    asked, answers = _lines(one), _lines(other)
    if len(asked) != len(answers):
        raise LuthierError(
            f"{first} has {len(asked):,} lines and {second} has {len(answers):,}: each line of the one needs the line "
            "of the other that answers it"
        )
    rows = []
    for number, (a, b) in enumerate(zip(asked, answers, strict=True), 1):
        reason = _fault(a, first, one) or _fault(b, second, other)
        rows.append(Row(number, f"{a}\t{b}", reason, columns={} if reason else {"input": a, "output": b}))
    notes = dict.fromkeys([*one.notes, *(say("said_file_second", file=second.name, note=n) for n in other.notes)])
    return Source(first, tuple(rows), ("input", "output"), notes=tuple(notes))


def read_lines(path: Path, encoding: str = "") -> Source:
    """The lines of one file as rows with `input` alone."""
    found = decode(path, encoding)
    rows = []
    for number, line in enumerate(_lines(found), 1):
        reason = _fault(line, path, found)
        rows.append(Row(number, line, reason, columns={} if reason else {"input": line}))
    return Source(path, tuple(rows), ("input",), notes=found.notes)


def is_lines(path: Path, pair: Sequence[str]) -> bool:
    """Whether a file is one of lines, as those of a pair: it ends like one of them."""
    return bool(pair) and _kind(path) in {_kind(Path(name)) for name in pair}


def instruction_of(pair: Sequence[str], given: str | None) -> str:
    """What is to be done: as given, or after the languages in the files' names; "" where they name none."""
    if given is not None:
        return given
    one, other = (_language(Path(name)) for name in pair)
    return f"Translate from {one} to {other}." if one and other else ""


def note_of(pair: Sequence[str], given: str | None) -> list[str]:
    """What is said of an instruction that nobody gave."""
    if given is not None:
        return []
    if found := instruction_of(pair, None):
        return [say("said_pair_instruction", instruction=found)]
    return [say("said_pair_none")]


def _lines(found: Text) -> list[str]:
    """All lines, blank ones included: what counts is their number. A line end at the end begins none."""
    return [line.removesuffix("\r") for line in found.text.removesuffix("\n").split("\n")]


def _fault(line: str, path: Path, found: Text) -> str:
    if not line.strip():
        return f"the line is empty in {path.name}"
    fault = found.fault(line)
    return f"{path.name}: {fault}" if fault else ""


def _kind(path: Path) -> str:
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def _language(path: Path) -> str:
    """The language that the end of a file's name says: corpus.fr, corpus.fr.txt.gz, europarl-en, zh-CN.txt."""
    name = re.sub(r"\.(txt|tok|gz)\b", "", path.name.casefold())
    words = re.split(r"[^\w]+|_", name)
    tail = [*words[-1:], *("-".join(two) for two in list(pairwise(words))[-1:])]
    return next((found for word in tail if (found := language_name(word))), "")
