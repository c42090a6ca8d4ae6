"""What a line is: C4's rules act on lines (Raffel et al. 2020, section 2.2; its published filter)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.kernels import counting
from luthier.corpus.kernels.classes import SPACE
from luthier.corpus.kernels.keywords import searched
from luthier.corpus.kernels.marks import CLOSING, table
from luthier.corpus.texts import Ranges, Texts

LEVEL = "line"
SIGNALS = {
    "characters": "characters",
    "words": "what stands between spaces",
    "longest_word": "characters of the longest of these",
    "closed": "1 where it ends a sentence or a quotation, and not with an ellipsis",
    "javascript": "how often it says javascript",
    "policy": "how often it speaks of cookies, terms of use or privacy policies",
    "lorem_ipsum": "how often it says lorem ipsum",
    "braces": "opening braces",
}
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
Numbers = NDArray[np.int64]


def characters(texts: Texts, lines: Ranges) -> Numbers:
    return lines.sizes


def _words(texts: Texts, lines: Ranges) -> tuple[Numbers, Numbers]:
    return counting.longest_without_space(texts.chars, texts.kinds, lines.starts, lines.ends, SPACE)


def words(texts: Texts, lines: Ranges) -> Numbers:
    return _words(texts, lines)[0]


def longest_word(texts: Texts, lines: Ranges) -> Numbers:
    return _words(texts, lines)[1]


def closed(texts: Texts, lines: Ranges) -> Numbers:
    ends = texts.stops(lines, table(CLOSING))
    return (ends & ~counting.trails_off(texts.chars, lines.starts, lines.ends)).astype(np.int64)


def javascript(texts: Texts, lines: Ranges) -> Numbers:
    return searched(texts, lines, ("javascript",))


def policy(texts: Texts, lines: Ranges) -> Numbers:
    return searched(texts, lines, POLICY)


def lorem_ipsum(texts: Texts, lines: Ranges) -> Numbers:
    return searched(texts, lines, ("lorem ipsum",))


def braces(texts: Texts, lines: Ranges) -> Numbers:
    return searched(texts, lines, ("{",))
