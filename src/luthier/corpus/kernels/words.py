"""Where words begin and end in an array of characters.

How words are cut is part of every decision that counts them. Text between spaces is a word but for what stands at its
edges (quotes, brackets, commas, a full stop that ends no abbreviation), contractions (don't -> do n't), and what joins
words (hyphens between letters). A Han or kana character is a word. Rules of the kind that spaCy's English tokenizer has
(Honnibal et al. 2020), which filters of large corpora count with.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.kernels.classes import DIGIT, HAN, LETTER, SPACE, UPPER, classes
from luthier.corpus.kernels.compiled import compiled

# what stands alone before or behind a word
_EDGES = (
    "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉⟦⟧"
    "§%=—–$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳"
)
_ABBREVIATIONS = (
    "Adm. Bros. co. Co. Corp. D.C. Dr. e.g. E.g. E.G. Gen. Gov. i.e. I.e. I.E. Inc. Jr. Ltd. Md. Messrs. Mo. Mont. "
    "Mr. Mrs. Ms. p.m. a.m. Ph.D. Prof. Rep. Rev. Sen. St. vs. v.s. Jan. Feb. Mar. Apr. Jun. Jul. Aug. Sep. Sept. "
    "Oct. Nov. Dec. Ala. Ariz. Ark. Calif. Colo. Conn. Del. Fla. Ga. Ia. Id. Ill. Ind. Kan. Kans. Ky. La. Mass. Mich. "
    "Minn. Miss. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Okla. Ore. Pa. S.C. Tenn. Va. Wash. Wis."
)
_APART = ("cannot", "gonna", "gotta", "Cannot")  # two words in one: three letters and the rest
_MIX, SEED = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xCBF29CE484222325)


@compiled
def stir(value: np.uint64) -> np.uint64:
    """Every bit of the result hangs on every bit of a number (the last step of SplitMix64, Steele et al. 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled
def stepped(value: np.uint64, char: int) -> np.uint64:
    """The hash of a word with one character more, begun with SEED and ended by `stir` with the number of them."""
    value = (value ^ np.uint64(char)) * _MIX
    return value ^ (value >> np.uint64(29))


@compiled
def hashed(chars: NDArray[np.uint32], start: int, end: int) -> np.uint64:
    """64 bits that stand for the characters from start to end."""
    value = SEED
    for at in range(start, end):
        value = stepped(value, chars[at])
    return stir(value + np.uint64(end - start))


def as_chars(text: str) -> NDArray[np.uint32]:
    """The characters of a text as code points."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def hashes(words: tuple[str, ...] | list[str]) -> NDArray[np.uint64]:
    """What `hashed` gives for each word, sorted: a set that compiled code can look into."""
    return np.sort(np.array([hashed(as_chars(w), 0, len(w)) for w in words], np.uint64))


@cache
def tables() -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.uint64], NDArray[np.uint64]]:
    """Classes, what stands at edges, abbreviations, words that are two."""
    edges = np.zeros(len(classes()), np.bool_)
    edges[[ord(c) for c in _EDGES]] = True
    return classes(), edges, hashes(_ABBREVIATIONS.split()), hashes(_APART)


@compiled
def within(table: NDArray[np.uint64], value: np.uint64) -> bool:
    """Whether a sorted table holds a value."""
    at = np.searchsorted(table, value)
    return bool(at < len(table) and table[at] == value)


@compiled
def _apostrophe(char: np.uint32) -> bool:
    return bool(char == 39 or char == 0x2019)


@compiled
def _ending(chars: NDArray[np.uint32], start: int, end: int) -> int:
    """How many characters at the end of a word are a contraction's second half; 0 where it is none."""
    size = end - start
    if size >= 4 and chars[end - 1] == 116 and _apostrophe(chars[end - 2]) and chars[end - 3] == 110:
        return 3  # n't
    if size >= 4 and _apostrophe(chars[end - 3]):
        one, two = chars[end - 2], chars[end - 1]
        if two == 101 and (one == 114 or one == 118):  # 're 've
            return 3
        if one == 108 and two == 108:  # 'll
            return 3
    if size >= 2 and _apostrophe(chars[end - 2]):
        last = chars[end - 1]
        if last == 115 or last == 83 or last == 109 or last == 100:  # 's 'S 'm 'd
            return 2
    return 0


@compiled
def _dots(chars: NDArray[np.uint32], start: int, end: int, step: int) -> int:
    """How many full stops stand in a row at the beginning (step 1) or the end (step -1)."""
    at, count = (start, 0) if step > 0 else (end - 1, 0)
    while start <= at < end and chars[at] == 46:
        at, count = at + step, count + 1
    return count


@compiled
def _address(chars: NDArray[np.uint32], start: int, end: int) -> bool:
    """Whether a piece is an address on the web or of mail, which stays whole."""
    if end - start > 4 and chars[start] == 119 and chars[start + 1] == 119 and chars[start + 2] == 119:
        return bool(chars[start + 3] == 46)
    at_sign = False
    for at in range(start + 1, end - 1):
        if chars[at] == 58 and chars[at + 1] == 47 and at + 2 < end and chars[at + 2] == 47:
            return True
        at_sign |= chars[at] == 64
        if at_sign and chars[at] == 46:
            return True
    return False


@compiled
def _full_stop(
    chars: NDArray[np.uint32], kinds: NDArray[np.uint8], edges: NDArray[np.bool_], start: int, end: int
) -> bool:
    """Whether the full stop at the end of a piece is a word of its own, not part of U.S. or of J."""
    if end - start < 2:
        return False
    kind, char = kinds[chars[end - 2]], chars[end - 2]
    if kind & DIGIT or (kind & LETTER and not kind & UPPER) or edges[char] or char == 43 or char == 45:
        return True
    return bool(kind & UPPER and end - start > 2 and kinds[chars[end - 3]] & UPPER)


@compiled
def _joint(chars: NDArray[np.uint32], kinds: NDArray[np.uint8], at: int) -> int:
    """How many characters at this place inside a piece join two words and are a word of their own; 0 for none."""
    char = chars[at]
    before, after = kinds[chars[at - 1]], kinds[chars[at + 1]]
    if char == 46 and chars[at + 1] == 46:
        return _dots(chars, at, len(chars), 1)
    if char == 0x2026:
        return 1
    if before & LETTER and char == 45 and chars[at + 1] == 45 and at + 2 < len(chars) and kinds[chars[at + 2]] & LETTER:
        return 2  # --
    if before & LETTER and after & LETTER:
        if char == 45 or char == 0x2013 or char == 0x2014 or char == 126 or char == 44:
            return 1
        if char == 46:
            return int((before & UPPER) == 0 and (after & UPPER) != 0)
    if (
        (before & (LETTER | DIGIT))
        and after & LETTER
        and (char == 58 or char == 60 or char == 62 or char == 61 or char == 47)
    ):
        return 1
    if (
        before & DIGIT
        and (after & DIGIT or chars[at + 1] == 45)
        and (char == 43 or char == 45 or char == 42 or char == 94)
    ):
        return 1
    return 0


@compiled
def _piece(
    chars: NDArray[np.uint32], kinds: NDArray[np.uint8], start: int, end: int,
    starts: NDArray[np.int64], ends: NDArray[np.int64], count: int,
) -> int:  # fmt: skip
    """Write the words of a piece whose edges are clean, cut where it is joined and between Han characters."""
    begin = start
    at = start
    while at < end:
        if kinds[chars[at]] & HAN:
            if begin < at:
                starts[count], ends[count], count = begin, at, count + 1
            starts[count], ends[count], count = at, at + 1, count + 1
            at += 1
            begin = at
            continue
        size = _joint(chars, kinds, at) if start < at < end - 1 else 0
        if size and at + size < end:
            if begin < at:
                starts[count], ends[count], count = begin, at, count + 1
            starts[count], ends[count], count = at, at + size, count + 1
            at += size
            begin = at
            continue
        at += 1
    if begin < end:
        starts[count], ends[count], count = begin, end, count + 1
    return count


@compiled
def _between_spaces(
    chars: NDArray[np.uint32], kinds: NDArray[np.uint8], edges: NDArray[np.bool_], short: NDArray[np.uint64],
    apart: NDArray[np.uint64], start: int, end: int, starts: NDArray[np.int64], ends: NDArray[np.int64], count: int,
    behind: NDArray[np.int64],
) -> int:  # fmt: skip
    """Write the words of what stands between two spaces. behind: room for where what is taken off its end begins."""
    while start < end:
        dots = _dots(chars, start, end, 1)
        size = dots if dots > 1 else int(edges[chars[start]])
        if size == 0:
            break
        starts[count], ends[count], count = start, start + size, count + 1
        start += size
    taken = 0
    while start < end:
        if chars[end - 1] == 46 and within(short, hashed(chars, start, end)):
            break
        dots = _dots(chars, start, end, -1)
        size = dots if dots > 1 else _ending(chars, start, end)
        if size == 0 and dots == 1:
            size = int(_full_stop(chars, kinds, edges, start, end))
        elif size == 0:
            size = int(edges[chars[end - 1]])
        if size == 0 or taken >= len(behind):
            break
        end -= size
        behind[taken], taken = end, taken + 1
    if start < end:
        if _address(chars, start, end):
            starts[count], ends[count], count = start, end, count + 1
        elif end - start < 7 and end - start > 4 and within(apart, hashed(chars, start, end)):
            starts[count], ends[count], count = start, start + 3, count + 1
            starts[count], ends[count], count = start + 3, end, count + 1
        else:
            count = _piece(chars, kinds, start, end, starts, ends, count)
    return count + _put_behind(chars, behind, taken, starts, ends, count)


@compiled
def _put_behind(
    chars: NDArray[np.uint32], behind: NDArray[np.int64], taken: int,
    starts: NDArray[np.int64], ends: NDArray[np.int64], count: int,
) -> int:  # fmt: skip
    """Write what was taken off the end of a piece, in the order of the text; gives how many words that are."""
    for k in range(taken):
        begin = behind[taken - 1 - k]
        starts[count + k] = begin
        ends[count + k] = behind[taken - 2 - k] if k < taken - 1 else -1
    return taken


@compiled
def cut(
    chars: NDArray[np.uint32], bounds: NDArray[np.int64], kinds: NDArray[np.uint8], edges: NDArray[np.bool_],
    short: NDArray[np.uint64], apart: NDArray[np.uint64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """Words of texts that stand one after another: where each begins and ends, and each text's first word.

    bounds: where each text begins, and the end of the last: (texts + 1). Gives (words), (words), (texts + 1).
    """
    starts, ends = np.empty(len(chars), np.int64), np.empty(len(chars), np.int64)
    first = np.zeros(len(bounds), np.int64)
    behind = np.empty(64, np.int64)
    count = 0
    for text in range(len(bounds) - 1):
        at, stop = bounds[text], bounds[text + 1]
        while at < stop:
            while at < stop and kinds[chars[at]] & SPACE:
                at += 1
            begin = at
            while at < stop and not kinds[chars[at]] & SPACE:
                at += 1
            if begin < at:
                before = count
                count = _between_spaces(chars, kinds, edges, short, apart, begin, at, starts, ends, count, behind)
                if count > before and ends[count - 1] == -1:
                    ends[count - 1] = at
        first[text + 1] = count
    return starts[:count].copy(), ends[:count].copy(), first


@compiled
def hash_ranges(chars: NDArray[np.uint32], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.uint64]:
    """64 bits for what stands in each range: (ranges)."""
    out = np.empty(len(starts), np.uint64)
    for k in range(len(starts)):
        out[k] = hashed(chars, starts[k], ends[k])
    return out
