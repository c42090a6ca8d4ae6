"""A batch of texts as one array of characters; words, lines, paragraphs and sentences are ranges of it, found once.

    texts.chars   (characters)      code points of all texts, one after another
    texts.bounds  (texts + 1)       where each begins, and the end of the last
    texts.words   starts, ends (words), first (texts + 1): each text's first word

What has been computed stays with the batch, so that twenty signals cut its words once. A batch is at most a few
megabytes (`batches`): the arrays take about thirty bytes a character.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.kernels import bare, classes, counting, keywords, pieces, words
from luthier.corpus.kernels.classes import MARK
from luthier.corpus.kernels.marks import TERMINAL, table

if TYPE_CHECKING:
    import pyarrow as pa

AT_ONCE = 1_500_000  # bytes of text whose arrays are in memory together


@dataclass(frozen=True)
class Ranges:
    """Pieces of texts. starts, ends: (pieces), as places in `Texts.chars`. first: (texts + 1), each text's first."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    first: NDArray[np.int64]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Characters of each piece."""
        return self.ends - self.starts

    @property
    def counts(self) -> NDArray[np.int64]:
        """Pieces of each text."""
        return np.diff(self.first)

    @property
    def owners(self) -> NDArray[np.int64]:
        """The text of each piece."""
        return np.repeat(np.arange(len(self.first) - 1), self.counts)

    def share(self, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Which share of each text's pieces is chosen; 0 where it has none."""
        return ratio(pieces.sum_within(chosen.astype(np.int64), self.first), self.counts)


class Texts:
    """Texts of an Arrow column of strings; null is an empty text."""

    def __init__(self, column: pa.Array | pa.ChunkedArray) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        self.column = pc.fill_null(whole, "").cast(pa.large_string())
        self.chars = words.as_chars(_joined(self.column))
        sizes = pc.utf8_length(self.column).to_numpy(zero_copy_only=False).astype(np.int64)
        self.bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._found: dict[tuple[tuple[str, ...], bool], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        self.kinds, self._edges, self._short, self._apart = words.tables()

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Characters of each text."""
        return np.diff(self.bounds)

    @cached_property
    def words(self) -> Ranges:
        """Words as `kernels.words` cuts them."""
        return Ranges(*words.cut(self.chars, self.bounds, self.kinds, self._edges, self._short, self._apart))

    @cached_property
    def word_hashes(self) -> NDArray[np.uint64]:
        """64 bits for each word, letters as they are."""
        return words.hash_ranges(self.chars, self.words.starts, self.words.ends)

    @cached_property
    def folded(self) -> NDArray[np.uint32]:
        """The characters in lower case, as far as that is one character."""
        return classes.folded()[self.chars]

    @cached_property
    def plain_words(self) -> Ranges:
        """Words that are more than marks."""
        words = self.words
        chosen = counting.meaningful(self.chars, self.kinds, words.starts, words.ends, MARK)
        first = np.concatenate([[0], np.cumsum(chosen)])[words.first].astype(np.int64)
        return Ranges(words.starts[chosen], words.ends[chosen], first)

    @cached_property
    def plain_hashes(self) -> NDArray[np.uint64]:
        """64 bits for each of the words that are more than marks, without case."""
        return words.hash_ranges(self.folded, self.plain_words.starts, self.plain_words.ends)

    @cached_property
    def bare(self) -> tuple[Ranges, NDArray[np.uint64]]:
        """Words without marks and case as `kernels.bare` cuts them, and 64 bits for each."""
        starts, ends, first, hashes = bare.cut(self.chars, self.bounds, self.kinds, classes.folded())
        return Ranges(starts, ends, first), hashes

    def words_in(self, ranges: Ranges) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first of the words that are more than marks of each piece, and the one behind its last."""
        starts = self.plain_words.starts
        return np.searchsorted(starts, ranges.starts), np.searchsorted(starts, ranges.ends)

    @cached_property
    def lines(self) -> Ranges:
        """Lines as `str.splitlines` gives them, without spaces at their edges; empty ones are there."""
        return self.trimmed(Ranges(*pieces.lines(self.chars, self.bounds, self.kinds)))

    @cached_property
    def feeds(self) -> Ranges:
        """What stands between two line feeds, as it is."""
        return Ranges(*pieces.parts(self.chars, self.bounds[:-1], self.bounds[1:], 1, False))

    @cached_property
    def runs(self) -> Ranges:
        """What stands between runs of line feeds, as it is."""
        return Ranges(*pieces.parts(self.chars, self.bounds[:-1], self.bounds[1:], 1, True))

    @cached_property
    def paragraphs(self) -> Ranges:
        """What stands between blank lines, of the text without spaces at its edges."""
        begins, ends = pieces.trimmed(self.chars, self.kinds, self.bounds[:-1], self.bounds[1:])
        return Ranges(*pieces.parts(self.chars, begins, ends, 2, True))

    @cached_property
    def sentences(self) -> Ranges:
        """Sentences, each up to the beginning of the next."""
        words, ends = self.words, table(TERMINAL + "…")
        found = pieces.sentences(self.chars, self.kinds, ends, words.starts, words.ends, words.first, self.bounds)
        return Ranges(*found)

    def of(self, level: str) -> Ranges:
        """The pieces of a level: paragraphs, lines or sentences."""
        found: Ranges = getattr(self, f"{level}s")
        return found

    def trimmed(self, ranges: Ranges) -> Ranges:
        """The ranges without spaces at their edges."""
        return Ranges(*pieces.trimmed(self.chars, self.kinds, ranges.starts, ranges.ends), ranges.first)

    def hashes(self, ranges: Ranges) -> NDArray[np.uint64]:
        """64 bits for what stands in each range."""
        return words.hash_ranges(self.chars, ranges.starts, ranges.ends)

    def begins(self, ranges: Ranges, wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether each piece begins with one of the wanted characters (a table by code point)."""
        return self._has(ranges.starts, ranges, wanted)

    def stops(self, ranges: Ranges, wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether each piece ends with one of the wanted characters (a table by code point)."""
        return self._has(ranges.ends - 1, ranges, wanted)

    def _has(self, places: NDArray[np.int64], ranges: Ranges, wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        filled = ranges.sizes > 0
        out = np.zeros(len(places), np.bool_)
        out[filled] = wanted[self.chars[places[filled]]]
        return out

    def matches(self, sought: tuple[str, ...], whole: bool = False) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where any of these words begins and ends, see `kernels.keywords`."""
        key = sought, whole
        if key not in self._found:
            machine = keywords.automaton(sought)
            self._found[key] = keywords.matches(self.chars, self.bounds, self.kinds, classes.folded(), machine, whole)
        return self._found[key]

    def without(self, ranges: Ranges, gone: NDArray[np.bool_]) -> pa.Array:
        """The texts without some pieces, each with what stands between it and the next.

        gone: (pieces). A text that loses something loses the spaces at its edges, too.
        """
        owners = ranges.owners
        last = np.r_[owners[1:] != owners[:-1], True] if len(owners) else np.empty(0, np.bool_)
        stops = np.where(last, self.bounds[owners + 1], np.r_[ranges.starts[1:], 0] if len(owners) else 0)
        kept = ~inside(len(self.chars), ranges.starts[gone], stops[gone])
        bounds = np.concatenate([[0], np.cumsum(kept)])[self.bounds]
        chars = self.chars[kept]
        begins, ends = pieces.trimmed(chars, self.kinds, bounds[:-1], bounds[1:])
        touched = np.bincount(owners[gone], minlength=len(self)) > 0
        return _arrow(chars, np.where(touched, begins, bounds[:-1]), np.where(touched, ends, bounds[1:]))

    def masked(self, ranges: Ranges, mask: str) -> pa.Array:
        """The texts with each character of some pieces replaced by another one."""
        chars = self.chars.copy()
        chars[inside(len(chars), ranges.starts, ranges.ends)] = ord(mask)
        return _arrow(chars, self.bounds[:-1], self.bounds[1:])

    def text(self, start: int, end: int) -> str:
        """The characters from start to end."""
        return self.chars[start:end].tobytes().decode("utf-32-le", "replace")


def _joined(column: pa.Array) -> str:
    """All texts of a column without nulls, one after another."""
    offsets = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]
    data = column.buffers()[2]
    return str(memoryview(data)[offsets[0] : offsets[-1]], "utf-8") if data and len(column) else ""


def inside(size: int, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of so many places lie in some range: (size)."""
    change = np.zeros(size + 1, np.int64)
    np.add.at(change, starts, 1)
    np.add.at(change, ends, -1)
    found: NDArray[np.bool_] = np.cumsum(change)[:-1] > 0
    return found


def _arrow(chars: NDArray[np.uint32], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> pa.Array:
    """A column of the texts that stand in sorted ranges."""
    import pyarrow as pa

    chosen = chars[inside(len(chars), starts, ends)]
    size = 1 + (chosen > 0x7F).astype(np.int64) + (chosen > 0x7FF) + (chosen > 0xFFFF)
    places = np.concatenate([[0], np.cumsum(size)])[np.concatenate([[0], np.cumsum(ends - starts)])]
    data = chosen.tobytes().decode("utf-32-le").encode()
    return pa.LargeStringArray.from_buffers(len(starts), pa.py_buffer(places.tobytes()), pa.py_buffer(data))


def ratio(part: NDArray[np.generic], whole: NDArray[np.generic]) -> NDArray[np.float64]:
    """part / whole, 0 where there is nothing to divide by."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    found: NDArray[np.float64] = np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)
    return found


def batches(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    """A column of texts in parts of about `AT_ONCE` bytes, at least one text each."""
    import pyarrow.compute as pc

    sizes = pc.fill_null(pc.binary_length(column), 0).to_numpy().astype(np.int64)
    ends = np.cumsum(sizes)
    begin = 0
    while begin < len(sizes):
        limit = (ends[begin - 1] if begin else 0) + AT_ONCE
        stop = max(int(np.searchsorted(ends, limit, "right")), begin + 1)
        yield column.slice(begin, stop - begin)
        begin = stop
