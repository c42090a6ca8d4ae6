"""How much of a text repeats itself: n-grams of words, and pieces such as lines.

As Gopher counts it (Rae et al. 2021, "Scaling Language Models", table A1): characters of the most frequent n-gram for
n = 2 to 4, and characters in n-grams that came before for n = 5 to 10, each character once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.kernels.compiled import compiled
from luthier.corpus.kernels.words import stir

_TURN = np.uint64(0x9E3779B97F4A7C15)


@compiled
def _slot(table: NDArray[np.uint64], owner: NDArray[np.int64], mark: int, key: np.uint64) -> np.int64:
    """Where a key is in a table of a power of two slots, or would be; slots of another mark are empty."""
    mask = len(table) - 1
    at = np.int64(key & np.uint64(mask))
    while owner[at] == mark and table[at] != key:
        at = (at + 1) & mask
    return at


@compiled
def _room(longest: int) -> int:
    size = 16
    while size < 2 * longest:
        size *= 2
    return size


@compiled
def _longest(first: NDArray[np.int64]) -> int:
    most = 0
    for k in range(len(first) - 1):
        most = max(most, first[k + 1] - first[k])
    return most


@compiled
def grams(words: NDArray[np.uint64], first: int, last: int, n: int, out: NDArray[np.uint64]) -> int:
    """Hashes of the n-grams of the words from first to last, written to out; gives their number."""
    count = max(last - first - n + 1, 0)
    for k in range(count):
        value = np.uint64(n)
        for j in range(n):
            value = (value ^ words[first + k + j]) * _TURN
            value ^= value >> np.uint64(32)
        out[k] = stir(value)
    return count


@compiled
def most_frequent(
    words: NDArray[np.uint64], starts: NDArray[np.int64], ends: NDArray[np.int64], first: NDArray[np.int64], n: int
) -> NDArray[np.int64]:
    """Characters of each text's most frequent n-gram times how often it stands there; the earliest of equals.

    An n-gram's characters are its words' and a space between two. 0 for a text of fewer words.
    """
    size = _room(_longest(first))
    table, owner = np.empty(size, np.uint64), np.full(size, -1, np.int64)
    counts, earliest = np.empty(size, np.int64), np.empty(size, np.int64)
    keys = np.empty(_longest(first), np.uint64)
    out = np.zeros(len(first) - 1, np.int64)
    for text in range(len(out)):
        begin = first[text]
        number = grams(words, begin, first[text + 1], n, keys)
        best, best_at = 0, 0
        for k in range(number):
            at = _slot(table, owner, text, keys[k])
            if owner[at] != text:
                table[at], owner[at], counts[at], earliest[at] = keys[k], text, 0, k
            counts[at] += 1
            if counts[at] > best or (counts[at] == best and earliest[at] < best_at):
                best, best_at = counts[at], earliest[at]
        if best:
            chars = n - 1
            for word in range(begin + best_at, begin + best_at + n):
                chars += ends[word] - starts[word]
            out[text] = chars * best
    return out


@compiled
def came_before(
    words: NDArray[np.uint64], starts: NDArray[np.int64], ends: NDArray[np.int64], first: NDArray[np.int64], n: int
) -> NDArray[np.int64]:
    """Characters of each text in n-grams that stand there before; behind such a one the next n-gram is looked at."""
    size = _room(_longest(first))
    table, owner = np.empty(size, np.uint64), np.full(size, -1, np.int64)
    keys = np.empty(_longest(first), np.uint64)
    out = np.zeros(len(first) - 1, np.int64)
    for text in range(len(out)):
        begin = first[text]
        number = grams(words, begin, first[text + 1], n, keys)
        k = 0
        while k < number:
            at = _slot(table, owner, text, keys[k])
            if owner[at] == text:
                for word in range(begin + k, begin + k + n):
                    out[text] += ends[word] - starts[word]
                k += n
            else:
                table[at], owner[at] = keys[k], text
                k += 1
    return out


@compiled
def repeated(
    keys: NDArray[np.uint64], sizes: NDArray[np.int64], first: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each text: how many of its pieces came before in it, and of how many characters these are.

    keys: hashes of pieces (lines, paragraphs, sentences); sizes: their characters; first: each text's first piece.
    """
    size = _room(_longest(first))
    table, owner = np.empty(size, np.uint64), np.full(size, -1, np.int64)
    count, chars = np.zeros(len(first) - 1, np.int64), np.zeros(len(first) - 1, np.int64)
    for text in range(len(count)):
        for piece in range(first[text], first[text + 1]):
            at = _slot(table, owner, text, keys[piece])
            if owner[at] == text:
                count[text] += 1
                chars[text] += sizes[piece]
            else:
                table[at], owner[at] = keys[piece], text
    return count, chars


@compiled
def frequent_runs(values: NDArray[np.uint64], bounds: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Share of each text's runs of n values that are of its most frequent kinds: as many as the root of all kinds, at
    most those that are there more than once. 0 for a text of fewer values.

    Source: the character repetition filter of BigScience's corpus (Laurençon et al. 2022).
    """
    size = _room(_longest(bounds))
    table, owner = np.empty(size, np.uint64), np.full(size, -1, np.int64)
    counts, slots = np.empty(size, np.int64), np.empty(size, np.int64)
    keys = np.empty(_longest(bounds), np.uint64)
    out = np.zeros(len(bounds) - 1, np.float64)
    for text in range(len(out)):
        number = grams(values, bounds[text], bounds[text + 1], n, keys)
        kinds = 0
        for k in range(number):
            at = _slot(table, owner, text, keys[k])
            if owner[at] != text:
                table[at], owner[at], counts[at], slots[kinds] = keys[k], text, 0, at
                kinds += 1
            counts[at] += 1
        if number == 0:
            continue
        found = np.empty(kinds, np.int64)
        several = 0
        for k in range(kinds):
            found[k] = counts[slots[k]]
            several += found[k] > 1
        found.sort()
        most = min(int(np.sqrt(kinds)), several)
        out[text] = found[kinds - most :].sum() / number if most else 0.0
    return out


@compiled
def said_twice(
    words: NDArray[np.uint64], low: NDArray[np.int64], high: NDArray[np.int64], n: int
) -> NDArray[np.float64]:
    """Of each piece, which share of its n-grams came before within it. low, high: its words; 0 for fewer than n."""
    most = 0
    for piece in range(len(low)):
        most = max(most, high[piece] - low[piece])
    size = _room(most)
    table, owner = np.empty(size, np.uint64), np.full(size, -1, np.int64)
    keys = np.empty(max(most, 1), np.uint64)
    out = np.zeros(len(low), np.float64)
    for piece in range(len(low)):
        number = grams(words, low[piece], high[piece], n, keys)
        again = 0
        for k in range(number):
            at = _slot(table, owner, piece, keys[k])
            if owner[at] == piece:
                again += 1
            else:
                table[at], owner[at] = keys[k], piece
        if number:
            out[piece] = again / number
    return out


@compiled
def said_before(
    words: NDArray[np.uint64], low: NDArray[np.int64], high: NDArray[np.int64], first: NDArray[np.int64], n: int
) -> NDArray[np.float64]:
    """Of each piece, which share of its n-grams stands in pieces of the same text before it.

    low, high: words of a piece; first: each text's first piece. 0 for a piece of fewer words.
    """
    most = 0
    for text in range(len(first) - 1):
        if first[text + 1] > first[text]:
            most = max(most, high[first[text + 1] - 1] - low[first[text]])
    size = _room(most)
    table, owner = np.empty(size, np.uint64), np.full(size, -1, np.int64)
    keys = np.empty(max(most, 1), np.uint64)
    out = np.zeros(len(low), np.float64)
    for text in range(len(first) - 1):
        for piece in range(first[text], first[text + 1]):
            number = grams(words, low[piece], high[piece], n, keys)
            again = 0
            for k in range(number):
                again += owner[_slot(table, owner, text, keys[k])] == text
            for k in range(number):
                at = _slot(table, owner, text, keys[k])
                table[at], owner[at] = keys[k], text
            if number:
                out[piece] = again / number
    return out


@compiled
def hash_runs(words: NDArray[np.uint64], low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.uint64]:
    """64 bits for the words of each piece together. low, high: its first word, and the one behind its last."""
    out = np.empty(len(low), np.uint64)
    for piece in range(len(low)):
        value = np.uint64(high[piece] - low[piece])
        for word in range(low[piece], high[piece]):
            value = (value ^ words[word]) * _TURN
            value ^= value >> np.uint64(32)
        out[piece] = stir(value)
    return out


@compiled
def joined(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """64 bits for each pair, in this order."""
    out = np.empty(len(first), np.uint64)
    for k in range(len(first)):
        out[k] = stir(stir(first[k] + _TURN) * np.uint64(3) + second[k])
    return out


@compiled
def windows(
    words: NDArray[np.uint64], first: NDArray[np.int64], n: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """64 bits for every run of n words that stand in one text, and its first word. A rolling polynomial, so that its
    cost does not hang on n (Karp and Rabin 1987)."""
    number = 0
    for text in range(len(first) - 1):
        number += max(first[text + 1] - first[text] - n + 1, 0)
    out, places = np.empty(number, np.uint64), np.empty(number, np.int64)
    leaves = np.uint64(1)
    for _ in range(n):
        leaves *= _TURN
    at = 0
    for text in range(len(first) - 1):
        value = np.uint64(0)
        for word in range(first[text], first[text + 1]):
            value = value * _TURN + words[word]
            if word - first[text] >= n:
                value -= words[word - n] * leaves
            if word - first[text] >= n - 1:
                out[at], places[at] = stir(value), word - n + 1
                at += 1
    return out, places
