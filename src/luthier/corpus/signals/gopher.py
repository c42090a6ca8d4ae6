"""Quality of a document by its words and lines, as Gopher's data was filtered (Rae et al. 2021, table A1 and text)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.kernels import counting, pieces
from luthier.corpus.kernels.classes import LETTER
from luthier.corpus.kernels.marks import table
from luthier.corpus.kernels.words import as_chars, hashes
from luthier.corpus.texts import Texts, ratio

LEVEL = "document"
SIGNALS = {
    "words": "words that are more than marks",
    "mean_word_length": "characters of such a word, on average",
    "hashes_per_word": "# signs for each word, marks counted",
    "ellipses_per_word": "... and … for each word, marks counted",
    "bullet_lines": "share of lines that begin with a bullet",
    "ellipsis_lines": "share of lines that end with an ellipsis",
    "alphabetic_words": "share of words, marks counted, with a letter",
    "stop_words": "how many different ones of the, be, to, of, and, that, have, with",
}
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
Numbers = NDArray[np.float64] | NDArray[np.int64]


def words(texts: Texts) -> Numbers:
    return texts.plain_words.counts


def mean_word_length(texts: Texts) -> Numbers:
    plain = texts.plain_words
    return ratio(pieces.sum_within(plain.sizes, plain.first), plain.counts)


def _count(texts: Texts, sought: str) -> NDArray[np.int64]:
    return counting.occurrences(texts.chars, texts.bounds[:-1], texts.bounds[1:], as_chars(sought))


def hashes_per_word(texts: Texts) -> Numbers:
    return ratio(_count(texts, "#"), texts.words.counts)


def ellipses_per_word(texts: Texts) -> Numbers:
    return ratio(_count(texts, "...") + _count(texts, "…"), texts.words.counts)


def bullet_lines(texts: Texts) -> Numbers:
    lines = texts.lines
    return lines.share(texts.begins(lines, table("•-")))


def ellipsis_lines(texts: Texts) -> Numbers:
    lines = texts.lines
    return lines.share(counting.trails_off(texts.chars, lines.starts, lines.ends))


def alphabetic_words(texts: Texts) -> Numbers:
    words = texts.words
    return words.share(counting.meaningful(texts.chars, texts.kinds, words.starts, words.ends, LETTER))


def stop_words(texts: Texts) -> Numbers:
    return counting.different(texts.word_hashes, texts.words.first, hashes(STOP_WORDS))
