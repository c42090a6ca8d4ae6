"""What FineWeb adds to Gopher's and C4's rules (Penedo et al. 2024, "The FineWeb Datasets", section 3.6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.kernels import counting, repeats
from luthier.corpus.kernels.marks import TERMINAL, table
from luthier.corpus.kernels.words import as_chars
from luthier.corpus.texts import Ranges, Texts, ratio

LEVEL = "document"
SIGNALS = {
    "punctuated_lines": "share of lines, blank ones left out, that end a sentence",
    "short_lines": "share of lines, blank ones left out, of at most 30 characters",
    "repeated_line_characters": "share of characters, line feeds left out, in lines that came before",
    "line_feeds_per_word": "line feeds for each word, marks counted",
}
SHORT = 30
Numbers = NDArray[np.float64]


def _filled(texts: Texts) -> tuple[Ranges, NDArray[np.bool_]]:
    """What stands between line feeds, and whether it is more than spaces."""
    inner = texts.trimmed(texts.feeds)
    return texts.feeds, inner.sizes > 0


def _share(texts: Texts, chosen: NDArray[np.bool_]) -> Numbers:
    lines, filled = _filled(texts)
    found = np.bincount(lines.owners, chosen & filled, len(texts))
    return ratio(found, np.bincount(lines.owners, filled, len(texts)))


def punctuated_lines(texts: Texts) -> Numbers:
    lines = texts.feeds
    return _share(texts, texts.stops(lines, table(TERMINAL)))


def short_lines(texts: Texts) -> Numbers:
    return _share(texts, texts.feeds.sizes <= SHORT)


def _feeds(texts: Texts) -> NDArray[np.int64]:
    return counting.occurrences(texts.chars, texts.bounds[:-1], texts.bounds[1:], as_chars("\n"))


def repeated_line_characters(texts: Texts) -> Numbers:
    lines, filled = _filled(texts)
    first = np.concatenate([[0], np.cumsum(np.bincount(lines.owners, filled, len(texts)))]).astype(np.int64)
    again = repeats.repeated(texts.hashes(lines)[filled], lines.sizes[filled], first)[1]
    return ratio(again, texts.sizes - _feeds(texts))


def line_feeds_per_word(texts: Texts) -> Numbers:
    return ratio(_feeds(texts), texts.words.counts)
