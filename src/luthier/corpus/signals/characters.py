"""Repetition by characters: what is written without spaces repeats itself in characters, not in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.kernels import counting, repeats
from luthier.corpus.kernels.classes import SPACE
from luthier.corpus.kernels.marks import CLOSING_ZH, table
from luthier.corpus.texts import Texts, ratio

LEVEL = "document"
SIGNALS = {
    "character_repetition": "share of runs of three characters of the most frequent kinds (√ of their number)",
    "closed_lines": "share of lines, blank ones left out, that end a sentence or a quotation, Chinese marks included",
    "lines_that_repeat": "share of characters in lines that came before, spaces left out",
}
RUN = 3
Numbers = NDArray[np.float64]


def character_repetition(texts: Texts) -> Numbers:
    return repeats.frequent_runs(texts.chars.astype(np.uint64), texts.bounds, RUN)


def closed_lines(texts: Texts) -> Numbers:
    lines = texts.lines
    ends = texts.stops(lines, table(CLOSING_ZH))
    filled = lines.sizes > 0
    return ratio(np.bincount(lines.owners, ends & filled, len(texts)), np.bincount(lines.owners, filled, len(texts)))


def lines_that_repeat(texts: Texts) -> Numbers:
    lines = texts.lines
    visible = texts.sizes - counting.of_kind(texts.chars, texts.kinds, texts.bounds[:-1], texts.bounds[1:], SPACE)
    return ratio(repeats.repeated(texts.hashes(lines), lines.sizes, lines.first)[1], visible)
