"""Words of an answer for the scores that count words, English and Chinese alike.

Unicode NFKC (full-width forms become ordinary ones), small letters, words at anything that is neither letter, digit nor
mark; characters that stand for syllables or words by themselves (Han, kana) are words of their own.
"""

from __future__ import annotations

import re
import unicodedata

_ALONE = (
    "\u3005\u3007"  # 々 〇
    "\u3040-\u30ff\u31f0-\u31ff"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_MARKS = "\u0300-\u036f\u064b-\u065f\u0900-\u0963\u0970-\u0dff\u0e31-\u0e4e"  # vowel signs and the like
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}](?:[^\W_{_ALONE}]|[{_MARKS}])*")
_ARTICLES = frozenset({"a", "an", "the"})


def words(text: str) -> list[str]:
    """The words of a text, in order: "The 2nd 苹果!" -> the, 2nd, 苹, 果."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def answer_words(text: str) -> list[str]:
    """Words without English articles, as answers to questions are compared (Rajpurkar et al. 2016)."""
    return [w for w in words(text) if w not in _ARTICLES]
