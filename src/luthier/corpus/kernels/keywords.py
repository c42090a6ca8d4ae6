"""Where any of many words stands in texts, in one pass however many there are (Aho and Corasick 1975).

Letters are compared without case. A word is found inside others, too ("cookie" in "cookies"), unless `whole` asks for
words that no letter or digit touches; next to Han characters, which are written without spaces, nothing has to be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.kernels.classes import DIGIT, HAN, LETTER, folded
from luthier.corpus.kernels.compiled import compiled
from luthier.corpus.kernels.pieces import first_of
from luthier.corpus.kernels.words import as_chars

if TYPE_CHECKING:
    from luthier.corpus.texts import Ranges, Texts


PAIRS = 1 << 14


class Automaton(NamedTuple):
    """States of a machine that has read the longest beginning of a word that the text ends with.

    edges: places in `chars` and `to` where each state's begin, sorted by character: (states + 1). fail: where it goes
    on from where no edge fits. size: characters of the longest word that ends here, 0 for none; shorter: the next state
    on the way of `fail` where one ends. alone: True at the characters that are a word, by code point. pairs: True where
    two characters may begin a word, by `_pair`.
    """

    edges: NDArray[np.int64]
    chars: NDArray[np.uint32]
    to: NDArray[np.int64]
    fail: NDArray[np.int64]
    size: NDArray[np.int64]
    shorter: NDArray[np.int64]
    alone: NDArray[np.bool_]
    pairs: NDArray[np.bool_]


@compiled
def _pair(first: int, second: int) -> int:
    """A place in `pairs` for two characters; several share one."""
    return (first * 0x9E37 + second) & (PAIRS - 1)


@cache
def automaton(words: tuple[str, ...]) -> Automaton:
    """The machine of some words; empty ones are left out."""
    fold = folded()
    nodes: list[dict[int, int]] = [{}]
    size = [0]
    for word in words:
        at = 0
        for char in fold[as_chars(word)].tolist():
            if char not in nodes[at]:
                nodes[at][char] = len(nodes)
                nodes.append({})
                size.append(0)
            at = nodes[at][char]
        size[at] = len(word) if at else 0
    fail, shorter = [0] * len(nodes), [0] * len(nodes)
    waiting = deque(nodes[0].values())
    while waiting:
        at = waiting.popleft()
        for char, child in nodes[at].items():
            back = fail[at]
            while back and char not in nodes[back]:
                back = fail[back]
            fail[child] = nodes[back].get(char, 0)
            shorter[child] = fail[child] if size[fail[child]] else shorter[fail[child]]
            waiting.append(child)
    flat = [sorted(node.items()) for node in nodes]
    alone, pairs = np.zeros(len(fold), np.bool_), np.zeros(PAIRS, np.bool_)
    for first, child in nodes[0].items():
        alone[first] = size[child] > 0
        for second in nodes[child]:
            pairs[_pair(first, second)] = True
    return Automaton(
        np.concatenate([[0], np.cumsum([len(edges) for edges in flat])]).astype(np.int64),
        np.array([char for edges in flat for char, _ in edges], np.uint32),
        np.array([child for edges in flat for _, child in edges], np.int64),
        np.array(fail, np.int64),
        np.array(size, np.int64),
        np.array(shorter, np.int64),
        alone,
        pairs,
    )


@compiled
def _next(machine: Automaton, state: int, char: np.uint32) -> int:
    """Where an edge leads, -1 where there is none."""
    low, high = machine.edges[state], machine.edges[state + 1]
    while low < high:
        middle = (low + high) // 2
        if machine.chars[middle] < char:
            low = middle + 1
        else:
            high = middle
    return machine.to[low] if low < machine.edges[state + 1] and machine.chars[low] == char else -1


@compiled
def _touched(chars: NDArray[np.uint32], kinds: NDArray[np.uint8], start: int, end: int, low: int, high: int) -> bool:
    """Whether a letter or digit stands right before or behind a word that begins or ends with one."""
    bits = LETTER | DIGIT
    if start > low and kinds[chars[start]] & bits and not kinds[chars[start]] & HAN:
        before = kinds[chars[start - 1]]
        if before & bits and not before & HAN:
            return True
    if end < high and kinds[chars[end - 1]] & bits and not kinds[chars[end - 1]] & HAN:
        after = kinds[chars[end]]
        return bool(after & bits and not after & HAN)
    return False


@compiled
def matches(
    chars: NDArray[np.uint32], bounds: NDArray[np.int64], kinds: NDArray[np.uint8], fold: NDArray[np.uint32],
    machine: Automaton, whole: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """Where each word that is found begins and ends, in the order of ends; of those with one end the longest."""
    starts, ends = np.empty(1024, np.int64), np.empty(1024, np.int64)
    count = 0
    for text in range(len(bounds) - 1):
        state = 0
        for at in range(bounds[text], bounds[text + 1]):
            char = fold[chars[at]]
            last = at + 1 >= bounds[text + 1]
            begins = machine.alone[char] or not (last or not machine.pairs[_pair(char, fold[chars[at + 1]])])
            if state == 0 and not begins:  # nearly every character of a text
                continue
            to = _next(machine, state, char)
            while to < 0 and state:
                state = machine.fail[state]
                to = _next(machine, state, char)
            state = max(to, 0)
            found = state if machine.size[state] else machine.shorter[state]
            while found:
                begin = at + 1 - machine.size[found]
                if not whole or not _touched(chars, kinds, begin, at + 1, bounds[text], bounds[text + 1]):
                    if count == len(starts):
                        starts = np.concatenate((starts, np.empty(count, np.int64)))
                        ends = np.concatenate((ends, np.empty(count, np.int64)))
                    starts[count], ends[count] = begin, at + 1
                    count += 1
                    break
                found = machine.shorter[found]
    return starts[:count].copy(), ends[:count].copy()


def searched(texts: Texts, ranges: Ranges, words: Sequence[str], whole: bool = False) -> NDArray[np.int64]:
    """How many of the words stand in each range; one that overlaps the end of a range is in none."""
    starts, ends = texts.matches(tuple(words), whole)
    if not len(ends):
        return np.zeros(len(ranges.starts), np.int64)
    # ends are sorted, and ranges are too: those that end within, less those of them that begin before
    low, high = first_of(ends, ranges.starts + 1), first_of(ends, ranges.ends + 1)
    inside = high - low
    across = np.maximum.accumulate(ranges.starts)[np.searchsorted(ranges.starts, ends - 1, "right") - 1] > starts
    before = np.concatenate([[0], np.cumsum(across)])
    return np.asarray(inside - (before[high] - before[low]), np.int64)
