"""A model asked which of two answers is better, in both orders: models like the first one, or the last.

Source: Zheng et al. 2023, "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena" (position bias).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from luthier.core.records import Message, Sampling
from luthier.data.letters import is_chinese

if TYPE_CHECKING:
    from luthier.core.lm import LM

ENGLISH = (
    "Here is a conversation and two answers to it, A and B.\n\n{asked}\n\nAnswer A:\n{first}\n\nAnswer B:\n{second}\n\n"
    "Which answer is better: more helpful, correct and kind? Reply with one letter, A or B."
)
CHINESE = (
    "下面是一段对话和对它的两个回答 A 和 B。\n\n{asked}\n\n回答 A：\n{first}\n\n回答 B：\n{second}\n\n"
    "哪个回答更好，即更有帮助、更正确、更体贴？只回复一个字母，A 或 B。"
)
SPEAKERS = {"user": ("User", "用户"), "assistant": ("Assistant", "助手"), "system": ("System", "系统")}
LETTER = re.compile(r"(?<![A-Za-z])([AaBb])(?![A-Za-z])")


class Pair(NamedTuple):
    """Two answers to one conversation."""

    messages: tuple[Message, ...]
    first: str
    second: str


class Verdict(NamedTuple):
    """How likely the first answer is the better one, asked with it in front, and with it behind the other."""

    before: float
    behind: float

    @property
    def mean(self) -> float:
        """Over both orders."""
        return (self.before + self.behind) / 2

    @property
    def agrees(self) -> bool:
        """Whether both orders name the same answer."""
        return (self.before - 0.5) * (self.behind - 0.5) > 0


def question(pair: Pair) -> str:
    """What a judge is asked, in the language of the conversation."""
    chinese = is_chinese(pair.messages[-1].content)
    asked = "\n".join(f"{_speaker(m.role, chinese)}: {m.content}" for m in pair.messages)
    return (CHINESE if chinese else ENGLISH).format(asked=asked, first=pair.first, second=pair.second)


def _speaker(role: str, chinese: bool) -> str:
    return SPEAKERS.get(role, (role, role))[chinese]


def verdicts(lm: LM, pairs: Sequence[Pair]) -> list[Verdict]:
    """What a model says of each pair: by the likelihood of A and B where it gives one, else by what it writes."""
    asked = [question(pair) for pair in pairs] + [question(Pair(p.messages, p.second, p.first)) for p in pairs]
    found = _by_likelihood(lm, asked) if "logprobs" in lm.can else _by_words(lm, asked)
    return [Verdict(p, 1 - q) for p, q in zip(found[: len(pairs)], found[len(pairs) :], strict=True)]


def _by_likelihood(lm: LM, asked: Sequence[str]) -> list[float]:
    """P(A) of A and B."""
    found = [float(x.sum()) for x in lm.logprobs([(text, letter) for text in asked for letter in "AB"])]
    return [1 / (1 + math.exp(min(b - a, 700.0))) for a, b in zip(found[::2], found[1::2], strict=True)]


def _by_words(lm: LM, asked: Sequence[str]) -> list[float]:
    """1 for A, 0 for B, one half where the answer names none, or both."""
    out = []
    for text in lm.generate(list(asked), Sampling(max_new_tokens=8)):
        letters = {letter.upper() for letter in LETTER.findall(text)}
        out.append(float("A" in letters) if len(letters) == 1 else 0.5)
    return out
