"""Words of an answer for the scores that count words, and for naming labels: what is forgiven, and what is not.

Forgiven: case, width and other compatibility forms (NFKC, but x² stays another than x2), composed or combining marks,
white space, invisible characters, quotes, brackets, emphasis (**so**), sentence punctuation, hyphens within a compound.
Kept, since it carries meaning: every symbol (+ # % < = $ € 😀 …), signs (-5, A-), what stands within a number (3.5,
1,000, 12:30, 3-5), a text of punctuation alone. Characters of scripts without spaces between words are words of their
own, with their vowel signs.

A symbol belongs to the word that it touches (C++, $100, 50 %), and joins a formula's short ones (x < 0); between longer
words it is a word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from functools import cache
from itertools import groupby, pairwise
from typing import NamedTuple

UNSPACED = (
    "\u3005\u3007"  # 々 〇
    "\u3040-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e80-\u0eff"  # Thai, Lao
    "\u1000-\u1049\u1050-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Burmese
    "\u1780-\u17d3\u17dc-\u17ff"  # Khmer
)
_NUMBER = r"(?:(?<!\d,)\d+,\d+(?!,?\d)|\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:[.:]\d+)*"
_RAISED = re.compile("([\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u209f\u2150-\u215f\u2189]+)")  # ² ₂ ½: not 2, 2, 1/2
_VARIANT = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")  # selectors of another look
_DASHES = re.compile("[\u2010-\u2013\u2212]")
# 3-5, 5 - 3, -5, A-, ->, <-
_DASH = r"(?<=\d)-(?=\d)|(?<=\d\s)-(?=\s\d)|(?<![\w)-])-(?=[\w.$€£¥])|(?<=\w)-(?![\w-])|-(?=>)|(?<=<)-"
# x != y, !x, f(x), a*(b+c), (a+b)*c
_OTHER = r"!(?==)|(?<!\w)!(?=\w)|(?<=(?<!\w)\w)\((?=\S)|(?<=[*^/+=×÷])\(|\)(?=\s?[*^/+=×÷<>])"  # x != y, f(x), (a+b)*c
_FACE = r"(?<!\S)[:;]['-]?[()\[\]|dp](?!\w)"
_EMPHASIS = re.compile(r"(?<!\w)(\*{1,3}|~~|\$)(?=\S)([^\n]+?)(?<=\S)\1(?!\w)")
_TAG = re.compile(r"(?<!\w)<([^\W\d][^<>\n]*)>(?!\w)")
_AFTER_NUMBERS = "%‰‱°"
_SHORT = re.compile("[^\\W\\d_]?[\\d.,:\u00b2\u00b3\u00b9\u2070-\u209f]*")
_RELATIONS = frozenset("<>=≤≥≠")
_ARTICLES = frozenset({"a", "an", "the"})


class _Piece(NamedTuple):
    """kind: word, symbol or other (what no symbol belongs to); start and end: where it stands."""

    kind: str
    text: str
    start: int
    end: int


@cache
def _pattern() -> re.Pattern[str]:
    mark, other, symbol = (_characters(kinds) for kinds in (("Mn", "Mc", "Me"), ("So",), ("Sm", "Sc", "Sk")))
    letter = rf"[^\W\d_{UNSPACED}]"
    return re.compile(
        rf"(?P<word>(?:(?<!\w)\.(?=\d))?(?:{_NUMBER}|{letter})(?:{_NUMBER}|{letter}|[{mark}])*)"
        rf"|(?P<other>{_FACE}|[{UNSPACED}][{mark}]*|[{other}]|[{mark}]+)"
        rf"|(?P<symbol>(?:[{symbol}#%&*@/\\§‰‱′″†‡]|{_DASH}|{_OTHER})+)"
    )


def _characters(kinds: Collection[str]) -> str:
    """All characters of these Unicode categories but quotes, as ranges for a regular expression."""
    # beyond these there is Han, what is private, and what `normal` leaves out
    numbers = [n for n in range(0x20000) if unicodedata.category(chr(n)) in kinds and chr(n) not in "`´"]
    runs = groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    ends = [(run[0][1], run[-1][1]) for run in (list(found) for _, found in runs)]
    return "".join(f"{re.escape(chr(first))}-{re.escape(chr(last))}" for first, last in ends)


def normal(text: str) -> str:
    """A text without case, width, invisible characters and ways of composing marks."""
    parts = _RAISED.split(text)
    parts[::2] = [unicodedata.normalize("NFKC", part) for part in parts[::2]]
    whole = unicodedata.normalize("NFC", "".join(parts)).casefold()
    return "".join(c for c in whole if unicodedata.category(c) != "Cf" and not _VARIANT.match(c))


def words(text: str) -> list[str]:
    """The words of a text, in order: "The 2nd 苹果!" -> the, 2nd, 苹, 果."""
    return [word for word, _ in _found(text)]


def answer_words(text: str) -> list[str]:
    """Words without English articles, as answers to questions are compared (Rajpurkar et al. 2016).

    An article stands right before a word: the A of "A", "vitamin A", "A, C", "A C" and "A or B" is none.
    """
    return [word for word, before in _found(text) if not (before and word in _ARTICLES)]


def _found(text: str) -> list[tuple[str, bool]]:
    """The words, each with whether an article in its place would be one: a word follows."""
    plain = _DASHES.sub("-", normal(text))
    bare = _TAG.sub(r"\1", _EMPHASIS.sub(r"\2", plain))
    joined = _joined(bare, [_Piece(m.lastgroup or "", m[0], *m.span()) for m in _pattern().finditer(bare)])
    if not joined:
        return [(c, False) for c in plain if not c.isspace()]
    before = [_before_a_word(bare, one, two) for one, two in pairwise(joined)]
    return [(piece.text, is_before) for piece, is_before in zip(joined, [*before, False], strict=True)]


def _before_a_word(text: str, one: _Piece, two: _Piece) -> bool:
    if not text[one.end : two.start].isspace() or not any(map(str.isalnum, two.text)) or two.text in ("and", "or"):
        return False
    return one.text != "a" or len(two.text) > 1 or not ("a" <= two.text <= "z")


def _joined(text: str, pieces: list[_Piece]) -> list[_Piece]:
    """Words with the symbols that belong to them."""
    out: list[_Piece] = []
    held = False  # the piece before belongs to this one
    for piece, (to_left, to_right) in zip(pieces, _belonging(text, pieces), strict=True):
        if out and (held or to_left):
            last = out.pop()
            piece = last._replace(text=last.text + piece.text, end=piece.end)
        out.append(piece)
        held = to_right
    return out


def _belonging(text: str, pieces: list[_Piece]) -> Iterator[tuple[bool, bool]]:
    """Of each piece, whether it belongs to the one before and to the one after it."""
    for left, piece, right in zip([None, *pieces], pieces, [*pieces[1:], None], strict=False):
        if piece.kind != "symbol":
            yield False, False
            continue
        gaps = (_gap(text, left, piece), _gap(text, piece, right))
        if gaps in (("", ""), (" ", " ")) and left and right and _SHORT.fullmatch(left.text):
            if _SHORT.fullmatch(right.text):
                yield True, True
                continue
        elif "" in gaps and gaps != ("", ""):
            yield gaps[0] == "", gaps[1] == ""
            continue
        money = unicodedata.category(piece.text[-1]) == "Sc"
        before, after = gaps[0] == " " and left, gaps[1] == " " and right
        if before and (money or piece.text in _AFTER_NUMBERS) and before.text[-1].isdigit():
            yield True, False
        else:
            leads = money or (left is None and _RELATIONS.issuperset(piece.text))
            yield False, bool(leads and after and after.text[0].isdigit())


def _gap(text: str, one: _Piece | None, two: _Piece | None) -> str | None:
    """ "" where two pieces touch, " " where only white space stands between them, else None; of words and symbols."""
    if one is None or two is None or "other" in (one.kind, two.kind):
        return None
    between = text[one.end : two.start]
    return between if not between else " " if between.isspace() else None
