"""How large a document is, and what it is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.kernels import counting
from luthier.corpus.kernels.classes import DIGIT, HAN, LETTER, SPACE
from luthier.corpus.texts import Texts, ratio

LEVEL = "document"
SIGNALS = {
    "characters": "characters",
    "lines": "lines",
    "sentences": "sentences",
    "han_characters": "Han and kana characters",
    "han_share": "share of characters, spaces left out, that are Han or kana",
    "letter_share": "share of characters that are letters of any script",
    "digit_share": "share of characters, spaces left out, that are digits",
    "special_share": "share of characters, spaces left out, that are neither letters nor digits",
}
Numbers = NDArray[np.int64] | NDArray[np.float64]


def _of(texts: Texts, bit: int) -> NDArray[np.int64]:
    return counting.of_kind(texts.chars, texts.kinds, texts.bounds[:-1], texts.bounds[1:], bit)


def characters(texts: Texts) -> Numbers:
    return texts.sizes


def lines(texts: Texts) -> Numbers:
    return texts.lines.counts


def sentences(texts: Texts) -> Numbers:
    return texts.sentences.counts


def han_characters(texts: Texts) -> Numbers:
    return _of(texts, HAN)


def _visible(texts: Texts) -> NDArray[np.int64]:
    return texts.sizes - _of(texts, SPACE)


def han_share(texts: Texts) -> Numbers:
    return ratio(_of(texts, HAN), _visible(texts))


def letter_share(texts: Texts) -> Numbers:
    return ratio(_of(texts, LETTER), texts.sizes)


def digit_share(texts: Texts) -> Numbers:
    return ratio(_of(texts, DIGIT), _visible(texts))


def special_share(texts: Texts) -> Numbers:
    return ratio(_visible(texts) - _of(texts, LETTER | DIGIT), _visible(texts))
