"""Documents in chunks: whole sentences up to a size, with an overlap, never across a section.

The text is tiled by pieces: sentences (。！？；… need no space after them), lines of code, and headings that stay with
what follows. A fenced code block that fits a chunk is one piece. A sentence that is too long is cut at clauses, then
at spaces, then between characters as a reader sees them (a letter with its accents, an emoji with its parts).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from luthier.core.document import Document
from luthier.core.errors import LuthierError
from luthier.index.records import Chunk
from luthier.index.terms import JOINED

# A sentence's end, with the quotes and brackets that belong to it and the space behind it.
# Possessive and without a second start in a run, so that a long run of dots or blanks costs no more than its length.
_SENTENCE = re.compile(
    r"[。！？；…｡]++[”’」』）】》\"')\]]*+\s*+|(?<=\S)(?<![.!?])[.!?]++[\"')\]”’]*+(?=\s)\s*+|\n\s*+"
)
_CLAUSE = re.compile(r"[，、：][”’]?|[,:;](?=\s)\s*+")
_SPACE = re.compile(r"\s++")
_FENCE = re.compile(
    r"^[ \t]*(?P<fence>```++|~~~++)[^\n]*+\n(?:.*?^[ \t]*(?P=fence)[ \t]*(?:\n\s*+|\Z)|.*\Z)", re.MULTILINE | re.DOTALL
)
_HEADING = re.compile(r"#{1,6}\s")
_WIDE = re.compile(rf"[{JOINED}\uac00-\ud7af\u3000-\u303f\uff00-\uffef]")
FIRST_MARK = "\u0300"
NARROW = 0.3  # a letter's share of what a Han character says


@dataclass(frozen=True)
class Chunking:
    """size: the most a chunk holds, overlap: what it repeats of the one before it; both as Han characters.

    Three letters of other scripts count as one Han character, so that 240 is about 800 English letters or 130 words.
    """

    size: int = 240
    overlap: int = 40

    def __post_init__(self) -> None:
        if self.size < 8:
            raise LuthierError(f"--chunk-size {self.size}: at least 8")
        if not 0 <= self.overlap <= self.size // 2:
            raise LuthierError(f"--overlap {self.overlap}: from 0 to half of the chunk size, {self.size // 2}")


def weight(text: str) -> float:
    """How much a text holds, in Han characters."""
    wide = len(_WIDE.findall(text))
    return wide + NARROW * (len(text) - wide)


def chunked(document: Document, how: Chunking) -> list[Chunk]:
    """The chunks of a document, in order. What is between two chunks that do not overlap is only white space."""
    out: list[Chunk] = []
    for section in document.sections:
        for start, end in spans(section.text, how):
            text = section.text[start:end]
            start, end = start + len(text) - len(text.lstrip()), end - len(text) + len(text.rstrip())
            if start < end:
                text = section.text[start:end]
                out.append(Chunk(document.file, len(out), section.name, section.title, start, end, text, section.tags))
    return out


def spans(text: str, how: Chunking) -> list[tuple[int, int]]:
    """(start, end) of each chunk: starts and ends both grow, no gap is left, and none is heavier than the size.

    One character, with all its accents, may be.
    """
    edges = [0, *(end for _, end in pieces(text, how.size))]
    weights = [weight(text[a:b]) for a, b in pairwise(edges)]
    out: list[tuple[int, int]] = []
    first, count = 0, len(weights)
    while first < count:
        last, total = first, 0.0
        while last < count and (last == first or total + weights[last] <= how.size):
            starts_topic = last > first and _HEADING.match(text, edges[last])
            if starts_topic and total > how.size / 2:  # a heading opens a chunk, if this one is worth keeping
                break
            total += weights[last]
            last += 1
        while last - 1 > first and last < count and _HEADING.match(text, edges[last - 1]):
            last -= 1  # a heading goes with what follows it
        out.append((edges[first], edges[last]))
        first = _next_first(text, edges, weights, first, last, how)
    return out


def _next_first(text: str, edges: list[int], weights: list[float], first: int, last: int, how: Chunking) -> int:
    """The piece that the next chunk begins with: back from `last` as far as the overlap reaches, within a topic."""
    if last >= len(weights) or _HEADING.match(text, edges[last]):
        return last
    begin, back = last, 0.0
    room = min(how.overlap, how.size - weights[last])  # the overlap must not push out the next piece
    while begin - 1 > first and back + weights[begin - 1] <= room:
        begin -= 1
        back += weights[begin]
    return begin


def pieces(text: str, size: float) -> Iterator[tuple[int, int]]:
    """(start, end) of what is never cut, one after the other without a gap; none is heavier than `size`."""
    at = 0
    for block in _FENCE.finditer(text):
        yield from _sentences(text, at, block.start(), size)
        at = block.end() - _is_inside(text, block.end())  # a blank that carries a mark belongs to what follows
        if weight(text[block.start() : at]) <= size:
            yield block.start(), at
        else:
            for line in re.finditer(r"[^\n]*\n|[^\n]+", text[block.start() : at]):
                yield from _fitted(text, block.start() + line.start(), block.start() + line.end(), size)
    yield from _sentences(text, at, len(text), size)


def _sentences(text: str, start: int, end: int, size: float) -> Iterator[tuple[int, int]]:
    at = start
    for found in _SENTENCE.finditer(text, start, end):
        if found.end() > at and not _is_inside(text, found.end()):
            yield from _fitted(text, at, found.end(), size)
            at = found.end()
    if at < end:
        yield from _fitted(text, at, end, size)


def _fitted(text: str, start: int, end: int, size: float) -> Iterator[tuple[int, int]]:
    """A sentence, in parts where it is too long."""
    if weight(text[start:end]) <= size:
        yield start, end
        return
    while start < end:
        stop = _reach(text, start, end, size)
        if stop < end:
            stop = _last_cut(_CLAUSE, text, start, stop) or _last_cut(_SPACE, text, start, stop) or stop
        yield start, stop
        start = stop


def _last_cut(pattern: re.Pattern[str], text: str, start: int, stop: int) -> int | None:
    """The end of the last match in the second half of a stretch, so that parts are not small."""
    cuts = [found.end() for found in pattern.finditer(text, (start + stop) // 2, stop)]
    return next((cut for cut in reversed(cuts) if not _is_inside(text, cut)), None)


def _is_inside(text: str, at: int) -> bool:
    """Whether a mark stands there (an accent, a vowel sign, a joiner) that one character has with the one before it."""
    import regex

    if at >= len(text) or text[at] < FIRST_MARK or text[at - 1] == "\n":
        return False
    return regex.match(r"[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]", text, pos=at) is not None


def _reach(text: str, start: int, end: int, size: float) -> int:
    """How far a chunk reaches at most, at the edge of a character as a reader sees it; at least one of them."""
    import regex

    total, stop = 0.0, start
    for found in regex.finditer(r"\X", text, pos=start, endpos=end):
        total += weight(found[0])
        if total > size and stop > start:
            break
        stop = found.end()
    return stop
