"""How much of each kind is found, and how much of what is found is right, on sentences written for this project.

`sentences/a_*.txt` were there when patterns were written; `b_*.txt` were written without having seen them, and are told
with what they gave when they were scored for the first time, once (`blind.json`); misses were mended afterwards.
A line is a sentence in which private data is marked: {{KIND|text}}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from luthier.corpus.privacy import Span
from luthier.io.files import read_json

SENTENCES = Path(__file__).parent / "sentences"
_MARK = re.compile(r"\{\{([A-Z]+)\|(.*?)\}\}(?!\})")


@dataclass(frozen=True)
class Score:
    """Of a kind. labelled: spans that there are; found: that were found; right: that are the same to the character."""

    kind: str
    labelled: int
    found: int
    right: int


def sentences(part: str) -> Iterator[tuple[str, list[Span]]]:
    """Texts of `a` or `b` with what is private in them."""
    for path in sorted(SENTENCES.glob(f"{part}_*.txt")):
        for line in path.read_text("utf-8").splitlines():
            if line.strip():
                yield read_marks(line)


def at_first() -> dict[str, Score]:
    """What the unseen half gave before anybody looked at it, by kind."""
    return {kind: Score(kind, *found) for kind, found in read_json(SENTENCES / "blind.json").items()}


def read_marks(line: str) -> tuple[str, list[Span]]:
    """A marked sentence without its marks, and where they were."""
    text, spans, at = "", [], 0
    for found in _MARK.finditer(line):
        text += line[at : found.start()]
        spans.append(Span(len(text), len(text) + len(found[2]), found[1]))
        text += found[2]
        at = found.end()
    return text + line[at:], spans


def scores(labelled: Sequence[Sequence[Span]], found: Sequence[Sequence[Span]]) -> list[Score]:
    """Of each kind, over as many texts."""
    want = [{(number, s.start, s.end, s.kind) for s in spans} for number, spans in enumerate(labelled)]
    have = [{(number, s.start, s.end, s.kind) for s in spans} for number, spans in enumerate(found)]
    wanted, got = set().union(*want), set().union(*have)
    kinds = sorted({one[3] for one in wanted | got})
    return [
        Score(k, sum(o[3] == k for o in wanted), sum(o[3] == k for o in got), sum(o[3] == k for o in wanted & got))
        for k in kinds
    ]
