"""Chinese names and addresses: jieba's words with their parts of speech (MIT), and a grammar over them.

A name is what jieba takes for one and begins with a surname, what stands before a title (王先生), or what a text
says is one (联系人王建国). An address is a place that is built or numbered (路, 街, 村, 小区 … 号, 栋, 室) with the
larger places written before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import takewhile
from typing import Any, NamedTuple

from luthier.corpus.privacy import Span, listed, stretches

PACKAGE = "jieba"
_HAN = "㐀-鿿"
_SURNAMES = frozenset(listed("surnames"))
_DOUBLE = tuple(name for name in listed("surnames") if len(name) == 2)
_WEAK, _NO_NAMES, _NO_GIVEN = (frozenset(listed(name)) for name in ("weak", "no_names", "no_given"))
_TITLES, _BUILT, _BEFORE = ("|".join(listed(name)) for name in ("titles", "built", "said"))
_ANY = re.compile(rf"[{_HAN}]")
_DOT = re.compile(r"[·•]")
_TITLE = re.compile(rf"(?:{_TITLES}|[总哥姐叔姨嫂婶伯爷奶])")
_TITLE_BEHIND = re.compile(rf"(?<=.)(?:{_TITLES}|[总哥姐叔姨嫂婶伯爷奶工队导])$")
_LONG = re.compile(rf"(?:{'|'.join(_DOUBLE)})[{_HAN}]{{1,2}}")
_SAID = re.compile(rf"(?:{_BEFORE})(?:是|为|叫|名字是)?[ \t]{{0,3}}[:：]?[ \t]{{0,3}}(?P<it>[{_HAN}]{{2,4}})")
_TITLED = re.compile(rf"(?P<it>[{_HAN}]{{1,4}})(?:{_TITLES})")
FAR = 30  # characters of an address before the street's last one
_NO_PLACE = "vpcudrwye"  # parts of speech that are no part of a place's name
_STOPS = frozenset(listed("no_places"))
_PLACE = re.compile(rf"[{_HAN}\d]+")
_JOINS = "弄巷里桥"  # of streets, but words of their own, too
_LARGE = "省市区县州盟旗镇乡"
_ROAD = r"(?:[东西南北中]?[一二三四五六七八九十]?[段路里]?)?"
_BESIDE = rf"(?:[{_HAN}]{{0,3}}[边旁口头侧])?"
_UNIT = r"(?:号楼|号院|号|弄|栋|幢|座|单元|室|层|楼|组|队|户|门|#|期|区|铺)"
_DIGITS = r"(?:甲|乙|附)?[0-9A-Za-z一二三四五六七八九十百零〇]+(?:[\-－–—#][0-9A-Za-z]+)*"
_HOUSE = (
    rf"(?:[ ]?(?:(?![的在是和有到])[{_HAN}]){{2,10}}?(?:大厦|公寓|小区|花园|广场|中心|家园|苑|楼|园|商务楼|写字楼))?"
)
_REST = r"(?:[甲乙丙丁]|底商|\d+(?:-\d+)+|[A-Za-z]?\d{2,4}(?:室|房)?)?"
_NUMBERED = re.compile(
    rf"(?:{_BUILT})[ ]?{_ROAD}{_BESIDE}[ ]?(?:{_DIGITS}[ ]?{_UNIT}(?:之[一二三四五六七八九十\d]+)?{_HOUSE}[ ]?)+{_REST}"
)


class Word(NamedTuple):
    """A word of jieba's. flag: its part of speech."""

    text: str
    flag: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def installed() -> bool:
    """Whether names and addresses can be found."""
    return find_spec(PACKAGE) is not None


@cache
def _tagger() -> Any:
    import logging

    import jieba
    import jieba.posseg

    jieba.setLogLevel(logging.ERROR)
    jieba.initialize()
    return jieba.posseg.dt


def find(texts: Sequence[str]) -> Iterator[list[Span]]:
    """Names and addresses of each text, those that overlap, too."""
    for text in texts:
        spans: list[Span] = []
        for low, part in stretches(text):
            if _ANY.search(part):
                words, high = list(_words(part, low)), low + len(part)
                spans += [*_addresses(text, low, high, words), *_people(text, words), *_said(text, low, high, words)]
        yield spans


def _words(text: str, at: int) -> Iterator[Word]:
    for found in _tagger().cut(text):
        yield Word(found.word, found.flag, at)
        at += len(found.word)


def _surname(text: str) -> int:
    """Characters of the surname with which a text begins; 0 for none."""
    return 2 if text[:2] in _SURNAMES else 1 if text[:1] in _SURNAMES else 0


def _people(text: str, words: Sequence[Word]) -> Iterator[Span]:
    """What jieba takes for a name and can be one; double surnames, and foreign names with their dots."""
    for number, word in enumerate(words):
        name = _TITLE_BEHIND.sub("", word.text)
        own = _surname(name)
        end = word.start + len(name)
        if (
            word.flag in ("nr", "nrfg")
            and own
            and name[:2] not in _NO_NAMES
            and not _NO_GIVEN & set(name[own:])
            and name[-1] not in _LARGE + "路街村"
        ):
            after = words[number + 1] if number + 1 < len(words) else Word("", "x", word.end)
            if own < len(name) <= own + 2 and (name[0] not in _WEAK or word.text != name):
                lone = (
                    len(name) == own + 1
                    and len(after.text) == 1
                    and _is_han(after.text)
                    and not _is_han(text[after.end : after.end + 1])
                )
                yield Span(word.start, after.end if lone and after.flag[:1] not in "uypcrvd" else end, "PERSON", 2)
            elif len(name) == own and after.flag in ("nr", "nrfg", "nrt") and len(after.text) <= 2:
                yield Span(word.start, after.end, "PERSON", 2)
            elif len(name) == own and word.text != name:
                yield Span(word.start, end, "PERSON", 2)


def _long(text: str, low: int, high: int, words: Sequence[Word]) -> Iterator[Span]:
    """Names with a surname of two characters, and foreign names with their dots."""
    edges = {word.end for word in words}
    for found in _LONG.finditer(text, low, high):
        yield Span(found.start(), _end(text, found.start() + 2, found.end(), edges), "PERSON", 3)
    for found in _DOT.finditer(text, low, high):
        sides = []
        for own in (
            reversed([w for w in words if w.end <= found.start()]),
            [w for w in words if w.start >= found.end()],
        ):
            part = list(takewhile(lambda word: _is_han(word.text[-1:]) and word.flag[:1] not in "tdrpvcumf", own))
            sides.append(sum(len(word.text) for word in part[:4]))
        if all(2 <= size <= 8 for size in sides):
            yield Span(found.start() - sides[0], found.end() + sides[1], "PERSON", 3)


def _end(text: str, least: int, most: int, edges: set[int]) -> int:
    """Where a name ends whose surname ends at `least`: there, where a title follows, or one or two characters on."""
    if _TITLE.match(text, least):
        return least
    if (
        most >= least + 2
        and text[least + 1] not in _NO_GIVEN
        and (least + 2 in edges or not _is_han(text[least + 2 : least + 3]))
    ):
        return least + 2
    return least + 1


def _is_han(char: str) -> bool:
    return bool(re.fullmatch(rf"[{_HAN}]", char))


def _said(text: str, low: int, high: int, words: Sequence[Word]) -> Iterator[Span]:
    """Names by what stands before or behind them."""
    edges = {word.end for word in words}
    yield from _long(text, low, high, words)
    for found in _SAID.finditer(text, low, high):
        start, name = found.start("it"), found["it"]
        own = _surname(name)
        lone = name[0] in _WEAK and _is_han(text[start - 1]) and _is_han(text[start + 3 : start + 4])
        if (
            own
            and not lone
            and len(name) > own
            and name[own] not in _NO_GIVEN
            and not _is_word(name[: own + 1], words, start)
        ):
            yield Span(start, _end(text, start + own, found.end("it"), edges), "PERSON", 3)
    for found in _TITLED.finditer(text, low, high):
        name, end = found["it"], found.end("it")
        for size in (3, 2, 1, 4):
            start = end - size
            part = text[start:end]
            own = _surname(part) if size <= len(name) else 0
            given = part[own:]
            if (
                own
                and size - own <= 2
                and not _NO_GIVEN & set(given)
                and (start in edges or start == low)
                and not _is_word(part, words, start)
            ):
                yield Span(start, end, "PERSON", 3)
                break


def _is_word(part: str, words: Sequence[Word], start: int) -> bool:
    """Whether these characters are a word that is no name."""
    return any(
        word.start == start and word.text == part and word.flag[:2] not in ("nr", "ng", "n", "zg", "x")
        for word in words
    )


def _addresses(text: str, low: int, high: int, words: Sequence[Word]) -> Iterator[Span]:
    for found in _NUMBERED.finditer(text, low, high):
        yield Span(_begin(text, found.start(), words), found.end(), "ADDRESS", 4)


def _begin(text: str, built: int, words: Sequence[Word]) -> int:
    """Where an address begins whose built place has its last character there: at larger places written before it."""
    start = built
    for word in reversed([word for word in words if word.start < built]):
        place = word.text[-1:] in _LARGE + _JOINS or word.flag[:1] not in _NO_PLACE
        if not place or word.text in _STOPS or not _PLACE.fullmatch(word.text) or built - word.start > FAR:
            break
        start = word.start
    return start
