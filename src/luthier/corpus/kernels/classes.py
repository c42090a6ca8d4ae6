"""What a character is, as bits of one byte by code point, made once from the Unicode tables that Python carries.

Source: Unicode Standard Annex 44 (general categories); scripts by their blocks.
"""

from __future__ import annotations

import sys
import unicodedata
from functools import cache

import numpy as np
from numpy.typing import NDArray

SPACE, LETTER, DIGIT, UPPER, PUNCTUATION, HAN, BREAK, MARK = 1, 2, 4, 8, 16, 32, 64, 128
# PUNCTUATION: of category P. MARK: that, ASCII's symbols and controls: a word of nothing else says nothing.
# BREAK: where `str.splitlines` ends a line.
_HAN = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF), (0x3040, 0x30FF))
_LETTERS = 0x20000  # beyond it nearly everything is Han
_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


@cache
def classes() -> NDArray[np.uint8]:
    """A byte of bits for each code point. HAN holds kana, too: what is written without spaces, a word a character."""
    out = np.zeros(sys.maxunicode + 1, np.uint8)
    for point in range(_LETTERS):
        char = chr(point)
        category = unicodedata.category(char)
        bits = SPACE if char.isspace() else 0
        bits |= LETTER if char.isalpha() else 0
        bits |= DIGIT if category == "Nd" else 0
        bits |= UPPER if category in ("Lu", "Lt") else 0
        bits |= PUNCTUATION if category[0] == "P" else 0
        bits |= MARK if category[0] == "P" or (point < 128 and category[0] == "S") or category == "Cc" else 0
        out[point] = bits
    for low, high in _HAN:
        out[low : high + 1] |= HAN
    out[[ord(c) for c in _BREAKS]] |= BREAK
    return out


@cache
def folded() -> NDArray[np.uint32]:
    """Each code point in lower case, where that is one character."""
    out = np.arange(0x110000, dtype=np.uint32)
    for point in range(0x20000):
        low = chr(point).lower()
        out[point] = ord(low) if len(low) == 1 else point
    return out
