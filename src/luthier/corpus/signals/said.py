"""What a sentence or a paragraph says again, by its words: within itself, and of what stands before it in its text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.kernels import repeats
from luthier.corpus.texts import Ranges, Texts

LEVEL = ("sentence", "paragraph")
SIGNALS = {
    "words": "words, marks left out; a Han character is one",
    "repeated_words": "share of its words that came before in it",
    "repeated_phrases": "share of its pairs of words that came before in it",
    "said_before": "share of its runs of five words that stand before it in the text",
}
PHRASE = 5


def words(texts: Texts, ranges: Ranges) -> NDArray[np.int64]:
    low, high = texts.words_in(ranges)
    return high - low


def repeated_words(texts: Texts, ranges: Ranges) -> NDArray[np.float64]:
    return repeats.said_twice(texts.plain_hashes, *texts.words_in(ranges), 1)


def repeated_phrases(texts: Texts, ranges: Ranges) -> NDArray[np.float64]:
    return repeats.said_twice(texts.plain_hashes, *texts.words_in(ranges), 2)


def said_before(texts: Texts, ranges: Ranges) -> NDArray[np.float64]:
    return repeats.said_before(texts.plain_hashes, *texts.words_in(ranges), ranges.first, PHRASE)
