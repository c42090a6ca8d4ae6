"""Private data in texts: where it stands, and typed placeholders in its place.

    texts --seeds--> windows --kinds/--> spans --chinese, english or classifier--> spans --masking--> texts

- `seeds`: where anything could stand (runs of digits, @, words such as 护照 or token), in one pass over all characters.
- `kinds/`: a file a kind: expressions, and a check of what they match (check digits, areas, what stands before it).
- `chinese`, `english`, `classifier`: names and addresses, by language or by a model of the user's.
- `finding`: all of it over a batch of texts; spans that overlap give way to the more certain one.
- `masking`: `[PHONE_1]` in place of a span, the same for the same number all through a document.
- `scoring`: how much of each kind is found on `sentences/`, written for this project.

A kind is found by its file: nothing is registered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Span(NamedTuple):
    """Private data in a text. certain: spans that overlap give way to the one that is more so."""

    start: int
    end: int
    kind: str
    certain: int = 0


def always(found: re.Match[str]) -> bool:
    """What an expression matches is what it looks for."""
    return True


@dataclass(frozen=True)
class Pattern:
    """What a kind looks like. The group `it`, where there is one, is the private part of a match.

    seeds: where it is looked for: DIGITS, DOTS, COLONS, AT, or words, in lower case. valid: whether a match is one.
    certain: the higher, the less other kinds take of it. before, after: characters around a seed within which a match
    begins. longest: characters of a match.
    """

    kind: str
    expression: re.Pattern[str]
    seeds: tuple[str, ...]
    valid: Callable[[re.Match[str]], bool] = always
    certain: int = 1
    before: int = 24
    after: int = 4
    longest: int = 80


DIGITS, DOTS, COLONS, AT = "<digits>", "<dots>", "<colons>", "<at>"
LONG = 400  # characters of a stretch
_STOP = r"(?<!\b[A-Z])(?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bMrs)(?<!\bProf)\.(?=\s+[A-Z\"“(])"  # ends a sentence
_SENTENCE = re.compile(rf"[^\n。！？]+?(?:[。！？]+|[!?]+(?=\s)|{_STOP}|(?=\n)|$)")


def stretches(text: str) -> Iterator[tuple[int, str]]:
    """Sentences with where they begin; longer ones are cut at a space, so that nothing looks at more than LONG."""
    for found in _SENTENCE.finditer(text):
        begin, end = found.span()
        while end - begin > LONG:
            space = text.rfind(" ", begin + LONG // 2, begin + LONG)
            cut = space if space > 0 else begin + LONG
            yield begin, text[begin:cut]
            begin = cut
        if end > begin:
            yield begin, text[begin:end]


LISTS = Path(__file__).parent / "lists"


def listed(name: str) -> tuple[str, ...]:
    """The words of a list of ours, longer ones first: they stand in expressions."""
    lines = (LISTS / f"{name}.txt").read_text("utf-8").splitlines()
    words = {word for line in lines if not line.startswith("#") for word in line.split()}
    return tuple(sorted(words, key=lambda word: (-len(word), word)))
