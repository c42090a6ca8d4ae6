"""How much of a document says the same again, as Gopher counts it (Rae et al. 2021, table A1)."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.kernels import repeats
from luthier.corpus.texts import Ranges, Texts, ratio

LEVEL = "document"
SIGNALS = {
    "duplicate_lines": "share of lines that came before",
    "duplicate_line_characters": "share of characters in lines that came before",
    "duplicate_paragraphs": "share of paragraphs that came before",
    "duplicate_paragraph_characters": "share of characters in paragraphs that came before",
    "top_2_gram": "share of characters in the most frequent pair of words",
    "top_3_gram": "share of characters in the most frequent three words",
    "top_4_gram": "share of characters in the most frequent four words",
    "duplicate_5_grams": "share of characters in five words that came before",
    "duplicate_6_grams": "share of characters in six words that came before",
    "duplicate_7_grams": "share of characters in seven words that came before",
    "duplicate_8_grams": "share of characters in eight words that came before",
    "duplicate_9_grams": "share of characters in nine words that came before",
    "duplicate_10_grams": "share of characters in ten words that came before",
}
Numbers = NDArray[np.float64]


def _again(texts: Texts, ranges: Ranges) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return repeats.repeated(texts.hashes(ranges), ranges.sizes, ranges.first)


def duplicate_lines(texts: Texts) -> Numbers:
    return ratio(_again(texts, texts.runs)[0], texts.runs.counts)


def duplicate_line_characters(texts: Texts) -> Numbers:
    return ratio(_again(texts, texts.runs)[1], texts.sizes)


def duplicate_paragraphs(texts: Texts) -> Numbers:
    return ratio(_again(texts, texts.paragraphs)[0], texts.paragraphs.counts)


def duplicate_paragraph_characters(texts: Texts) -> Numbers:
    return ratio(_again(texts, texts.paragraphs)[1], texts.sizes)


def _top(n: int, texts: Texts) -> Numbers:
    words = texts.words
    return ratio(repeats.most_frequent(texts.word_hashes, words.starts, words.ends, words.first, n), texts.sizes)


def _before(n: int, texts: Texts) -> Numbers:
    words = texts.words
    return ratio(repeats.came_before(texts.word_hashes, words.starts, words.ends, words.first, n), texts.sizes)


top_2_gram, top_3_gram, top_4_gram = (partial(_top, n) for n in (2, 3, 4))
duplicate_5_grams, duplicate_6_grams, duplicate_7_grams = (partial(_before, n) for n in (5, 6, 7))
duplicate_8_grams, duplicate_9_grams, duplicate_10_grams = (partial(_before, n) for n in (8, 9, 10))
