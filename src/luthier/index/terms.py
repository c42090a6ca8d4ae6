"""The words that full-text search compares, for every language: Latin words as they are, Han as one and two characters.

No dictionary is needed and every Chinese word of one or two characters is held, wherever a segmenter would have cut;
longer ones are found by their pairs. Source: Nie et al. 2000, "On the Use of Words and N-grams for Chinese Information
Retrieval".
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache

# Han (with extensions), kana, and other scripts written without spaces
JOINED = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff\u0e00-\u0e7f"
)
PIECES = re.compile(rf"[{JOINED}]+|[^\W_{JOINED}]+")
_JOINED = re.compile(rf"[{JOINED}]")
_HAN = re.compile("[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
SCRIPTS = {"CJK": "han", "HIRAGANA": "kana", "KATAKANA": "kana"}


def terms(text: str) -> list[str]:
    """Words in small letters after Unicode NFKC; runs of Han give each character and each pair."""
    out: list[str] = []
    for piece in _pieces(text):
        out += [*piece, *_pairs(piece)] if _JOINED.match(piece) else [piece]
    return out


def sought(text: str) -> list[str]:
    """What a question is looked up by first: of a run of Han its pairs alone, else `terms`.

    The characters of a pair seldom say what the pair does not, and the frequent ones are in nearly every text. Where
    no pair is found, they are looked up, too.
    """
    out: list[str] = []
    for piece in _pieces(text):
        out += _pairs(piece) if len(piece) > 1 and _HAN.fullmatch(piece) else terms(piece)
    return out


def _pieces(text: str) -> list[str]:
    return PIECES.findall(unicodedata.normalize("NFKC", text).lower())


def _pairs(piece: str) -> list[str]:
    return [piece[i : i + 2] for i in range(len(piece) - 1)]


def script(text: str) -> str:
    """How most of a text's letters are written: han, kana (any kana, among Han), latin, cyrillic…; "" without any."""
    counts: Counter[str] = Counter()
    for letter, count in Counter(text[:4000]).items():
        if letter.isalpha():
            first = unicodedata.name(letter, "unknown").split(" ")[0].split("-")[0]
            counts[SCRIPTS.get(first, first.lower())] += count
    if not counts:
        return ""
    if counts["kana"] * 10 > counts["han"] + counts["kana"] > counts["latin"]:
        return "kana"
    return counts.most_common(1)[0][0]


@cache
def function_words() -> frozenset[str]:
    """English words that say nothing by themselves."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)
