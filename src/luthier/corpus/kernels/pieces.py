"""Ranges of texts: lines, paragraphs, sentences; and what is counted within a range."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.kernels.classes import BREAK, PUNCTUATION, SPACE
from luthier.corpus.kernels.compiled import compiled

Ranges = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]  # begins, ends, each text's first


@compiled
def lines(chars: NDArray[np.uint32], bounds: NDArray[np.int64], kinds: NDArray[np.uint8]) -> Ranges:
    """Lines as `str.splitlines` gives them: no empty one behind a last line break."""
    starts, ends = np.empty(len(chars) + 1, np.int64), np.empty(len(chars) + 1, np.int64)
    first = np.zeros(len(bounds), np.int64)
    count = 0
    for text in range(len(bounds) - 1):
        begin, stop = bounds[text], bounds[text + 1]
        at = begin
        while at < stop:
            if kinds[chars[at]] & BREAK:
                starts[count], ends[count], count = begin, at, count + 1
                if chars[at] == 13 and at + 1 < stop and chars[at + 1] == 10:
                    at += 1
                begin = at + 1
            at += 1
        if begin < stop:
            starts[count], ends[count], count = begin, stop, count + 1
        first[text + 1] = count
    return starts[:count].copy(), ends[:count].copy(), first


@compiled
def parts(
    chars: NDArray[np.uint32], begins: NDArray[np.int64], stops: NDArray[np.int64], least: int, greedy: bool
) -> Ranges:
    """What stands between runs of at least so many line feeds; a text without any is one part.

    begins, stops: of the texts. greedy: a run of any length is one cut; else each line feed is.
    """
    starts, ends = np.empty(len(chars) + len(begins), np.int64), np.empty(len(chars) + len(begins), np.int64)
    first = np.zeros(len(begins) + 1, np.int64)
    count = 0
    for text in range(len(begins)):
        begin, stop = begins[text], stops[text]
        at = begin
        while at < stop:
            run = 0
            while at + run < stop and chars[at + run] == 10 and (greedy or run < 1):
                run += 1
            if run >= least:
                starts[count], ends[count], count = begin, at, count + 1
                begin = at + run
            at += max(run, 1)
        starts[count], ends[count], count = begin, stop, count + 1
        first[text + 1] = count
    return starts[:count].copy(), ends[:count].copy(), first


@compiled
def trimmed(
    chars: NDArray[np.uint32], kinds: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ranges without spaces at their edges."""
    begins, stops = starts.copy(), ends.copy()
    for k in range(len(starts)):
        while begins[k] < stops[k] and kinds[chars[begins[k]]] & SPACE:
            begins[k] += 1
        while begins[k] < stops[k] and kinds[chars[stops[k] - 1]] & SPACE:
            stops[k] -= 1
    return begins, stops


@compiled
def first_of(places: NDArray[np.int64], bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """For sorted places, how many stand before each bound."""
    out = np.empty(len(bounds), np.int64)
    at = 0
    for k in range(len(bounds)):
        while at < len(places) and places[at] < bounds[k]:
            at += 1
        out[k] = at
    return out


def sum_within(values: NDArray[np.int64], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of each text's values. first: where each text's begin, and the number of all: (texts + 1)."""
    return np.diff(np.concatenate([[0], np.cumsum(values)])[first])


@compiled
def most_within(values: NDArray[np.int64], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest of each text's values, 0 where there is none."""
    out = np.zeros(len(first) - 1, np.int64)
    for text in range(len(out)):
        for k in range(first[text], first[text + 1]):
            out[text] = max(out[text], values[k])
    return out


@compiled
def sentences(
    chars: NDArray[np.uint32], kinds: NDArray[np.uint8], terminal: NDArray[np.bool_], starts: NDArray[np.int64],
    ends: NDArray[np.int64], first: NDArray[np.int64], bounds: NDArray[np.int64],
) -> Ranges:  # fmt: skip
    """Sentences of texts that are cut into words: one ends behind a terminal mark and the marks that follow it, or at a
    line's end, and begins with the next word.

    starts, ends, first: of the words. A sentence reaches up to the next one's beginning.
    """
    begins, stops = np.empty(len(starts) + 1, np.int64), np.empty(len(starts) + 1, np.int64)
    out = np.zeros(len(bounds), np.int64)
    count = 0
    for text in range(len(bounds) - 1):
        ended, opened = True, False
        for word in range(first[text], first[text + 1]):
            if word > first[text]:
                for at in range(ends[word - 1], starts[word]):
                    ended |= (kinds[chars[at]] & BREAK) != 0
            marks = True
            for at in range(starts[word], ends[word]):
                marks &= (kinds[chars[at]] & PUNCTUATION) != 0
            if not opened or (ended and not marks):
                if opened:
                    stops[count] = starts[word]
                    count += 1
                begins[count] = starts[word]
                opened, ended = True, False
            if ends[word] - starts[word] == 1 and terminal[chars[starts[word]]]:
                ended = True
        if opened:
            stops[count] = bounds[text + 1]
            count += 1
        out[text + 1] = count
    return begins[:count].copy(), stops[:count].copy(), out
