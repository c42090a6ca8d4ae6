"""Whether an answer speaks of what was asked, or of a neighbour: annual leave, where parental leave was asked about.

Vectors find a neighbour nearly as like a question as its answer. So words are looked at. A thing that the question
names (`glossary`, in either language) must not give way to another of its family; and where the answer has the
question's word with other words before it (laptop *password*), what stands before it in the question (guest wifi
*password*) must be there, too. What shares no word with the question is left to the vectors, but where no passage holds
any key word of the question, none answers it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Literal

from luthier.index.glossary import NAMED, things
from luthier.index.terms import function_words, script

Stance = Literal["about", "beside", "open"]
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|[^\w\s]|\d+")
_LATIN = re.compile(r"[a-z]+")
_RUN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]{2,}")
_LINKS = frozenset(("of", "for", "on", "to", "in", "at"))
_MORE_EMPTY = "long day week month year hour minute time does did may need please many much"
# what parts the key words of a Chinese question: who, when, how many, may, must, is, of, and, what they count
_CUTS = re.compile(
    "什么时候|什么样|多长时间|为什么|怎么样|怎么|怎样|怎麼|如何|什么|多少|多久|多长|多大|哪几|哪些|哪里|哪儿|哪个|哪家|哪天|哪年|哪|谁|"
    "几(?:天|个|次|周|年|月|岁|点|元|块|位|名|本|张|层|楼|号|小时|分钟|种)?|是否|能否|可否|可以|能不能|能|会不会|会|要不要|需要|需|要|应该|应|"
    "有没有|有|没|不|是不是|是|吗|呢|吧|啊|的话|的|了|得|地|着|过|和|与|跟|及|或|在|从|到|向|往|由|被|把|给|对|于|为|按|比|离|自|"
    "我们|你们|他们|我|你|他|她|它|公司|员工|每|各|这|那|一|二|三|四|五|六|七|八|九|十|两|半|最多|最少|最|都|也|就|才|还|再|又|只|"
    "之后|之前|之内|以后|以前|以内|时|如果|因为|所以|但|请问|请|算|拿|放|领|发|付|交|收|休|享受|申请|办理|规定|办|分钟|小时|天|多"
)
_VERBS = frozenset("关开租交付买卖退换订去住坐乘用借还进出报缴扣罚停到回找看打拿做上下")
_HEADS = frozenset("假费金款险税价票卡证班室店车房率期单码库厂站课奖")  # kinds of what stands before them


def stance(question: str, answer: str) -> Stance:
    """What an answer with its headings is to a question: about it, beside it, or open, as far as words can tell."""
    question, answer = _plain(question), _plain(answer)
    asked, told = things(question), things(answer)
    about = bool(asked & told)
    for family in {number for number, _ in asked}:
        there = {thing for thing in told if thing[0] == family}
        if not there & asked and (there or family in NAMED):
            return "beside"
    if any(family in NAMED for family, _ in asked & told):  # under whichever of its names
        return "about"
    for found in (_words_stance(question, answer), _han_stance(question, answer)):
        if found == "beside":
            return "beside"
        about = about or found == "about"
    return "about" if about else "open"


def grounded(question: str, passages: Sequence[str]) -> bool:
    """Whether a passage holds a key word of the question or, of a thing that it names, a word of either language.

    True where this cannot be told: the question has no key word, or names nothing and a passage is in another script.
    """
    asked, keys = things(question), _keys(_plain(question))
    if not asked and not keys:
        return True
    for passage in passages:
        if asked & things(passage):
            return True
        if script(passage) != script(question):
            if not asked:
                return True
            continue
        there = _plain(passage)
        stems = {_stem(word) for word in _LATIN.findall(there)}
        if any(_found(key, there, stems) for key in keys):
            return True
    return False


def _keys(question: str) -> set[str]:
    """Words that say what is asked: of Chinese pairs of characters between `_CUTS`."""
    runs = _RUN.findall(_CUTS.sub(" ", question))
    pairs = {run[i : i + 2] for run in runs for i in range(len(run) - 1)}
    return pairs | {_stem(word) for word in _LATIN.findall(question) if _says(word)}


def _found(key: str, passage: str, stems: set[str]) -> bool:
    return any(_alike(key, stem) for stem in stems) if key.isascii() else key in passage


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


# -- words with spaces -----------------------------------------------------------------------------------------------


def _words_stance(question: str, answer: str) -> Stance:
    there = _words(answer)
    known = {_stem(word) for word in there if _says(word)}
    kinds, about = _kinds(there), False
    for head, before in _kinds(_words(question)).items():
        if head not in kinds or not before:
            continue
        if any(_alike(word, other) for word in before for other in known):
            about = True
        elif kinds[head]:
            return "beside"
    return "about" if about else "open"


def _kinds(words: Sequence[str]) -> dict[str, set[str]]:
    """Each word that says something, with those directly before it, or behind it and a link (password of a laptop)."""
    out: dict[str, set[str]] = {}
    for at, word in enumerate(words):
        if _says(word):
            ahead = words[at - 1] if at and _says(words[at - 1]) else ""
            behind = next(_linked(words, at + 1), "")
            out.setdefault(_stem(word), set()).update(_stem(w) for w in (ahead, behind) if w)
    return out


def _linked(words: Sequence[str], at: int) -> Iterator[str]:
    if at < len(words) and words[at] in _LINKS:
        for word in words[at + 1 : at + 3]:
            if _says(word):
                yield word
            elif word not in ("the", "a", "an", "my", "our", "your"):
                return


def _words(text: str) -> list[str]:
    return [word.removesuffix("'s").removesuffix("’s") for word in _WORD.findall(text)]


def _says(word: str) -> bool:
    return word.isascii() and word[0].isalpha() and len(word) > 2 and _stem(word) not in _empty()


@cache
def _empty() -> frozenset[str]:
    return frozenset(_stem(word) for word in (*function_words(), *_MORE_EMPTY.split()))


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _alike(one: str, other: str) -> bool:
    return one == other or (len(one) > 4 and len(other) > 4 and one[:5] == other[:5])


# -- Chinese ---------------------------------------------------------------------------------------------------------


def _han_stance(question: str, answer: str) -> Stance:
    about = False
    for run in _RUN.findall(_CUTS.sub(" ", question)):
        if run in answer:
            about = True
            continue
        for size in (2, 1):
            head, before = run[-size:], run[:-size]
            if head not in answer or (size == 1 and head not in _HEADS) or not _kind(before, size):
                continue
            if not any(char in answer for char in before) and _qualified(head, answer):
                return "beside"
            break
    return "about" if about else "open"


def _kind(before: str, size: int) -> bool:
    """Whether what stands before a word of so many characters says which kind; one character may be a verb."""
    return len(before) > 1 or (size == 1 and before not in _VERBS and before != "")


def _qualified(head: str, answer: str) -> bool:
    """Whether the word always stands behind another Chinese one."""
    starts = [at.start() for at in re.finditer(head, answer)]
    return all(start and _RUN.match(answer[start - 1 : start + 1]) for start in starts)
