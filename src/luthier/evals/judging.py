"""A model asked which of two answers is better, in both orders: models like the first one, or the last.

Source: Zheng et al. 2023, "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena" (position bias).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from luthier.core.records import Message
from luthier.data.letters import is_chinese
from luthier.data.prompts import Template

if TYPE_CHECKING:
    from luthier.core.lm import WordedLM

ENGLISH = (
    "Below are a conversation and two answers to its last turn. Judge which answer is more helpful, correct and kind. "
    "Length and order do not count.\n\n{talk}\n\n[Answer A]\n{one}\n\n[Answer B]\n{two}\n\n"
    "Which answer is better? Reply with A or B only."
)
CHINESE = (
    "下面是一段对话，以及对最后一轮的两个回答。请判断哪个回答更有用、更正确、更体贴，不要看长短和先后。\n\n"
    "{talk}\n\n【回答 A】\n{one}\n\n【回答 B】\n{two}\n\n哪个回答更好？只回答 A 或 B。"
)
SPEAKERS = {"user": ("User", "用户"), "assistant": ("Assistant", "助手"), "system": ("System", "系统")}
WORDING, LETTERS = Template("judge", "{input}", chat=True), ("A", "B")


class Pair(NamedTuple):
    """Two answers to one conversation."""

    messages: tuple[Message, ...]
    first: str
    second: str


def ahead(number: float, other: float) -> float:
    """1 where it is the higher one, one half where both are the same, else 0."""
    return float(number > other) + 0.5 * float(number == other)


class Verdict(NamedTuple):
    """How likely the first answer is the better one, asked with it in front, and with it behind the other.

    Not a number where the answer names neither.
    """

    before: float
    behind: float

    @property
    def read(self) -> bool:
        """Whether both orders got an answer that names one."""
        return not (math.isnan(self.before) or math.isnan(self.behind))

    @property
    def mean(self) -> float:
        """Over both orders; one half where it cannot be read."""
        return (self.before + self.behind) / 2 if self.read else 0.5

    @property
    def agrees(self) -> bool:
        """Whether both orders name the same answer."""
        return (self.before - 0.5) * (self.behind - 0.5) > 0


def question(pair: Pair) -> str:
    """What a judge is asked, in the language of the conversation; braces in texts stay what they are."""
    chinese = is_chinese(pair.messages[-1].content)
    parts = {"talk": talk(pair.messages, chinese), "one": pair.first, "two": pair.second}
    return re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], CHINESE if chinese else ENGLISH)


def talk(messages: Sequence[Message], chinese: bool) -> str:
    """A conversation with its speakers."""
    colon = "：" if chinese else ": "
    return "\n\n".join(f"{SPEAKERS.get(m.role, (m.role,) * 2)[chinese]}{colon}{m.said}" for m in messages)


def verdicts(lm: WordedLM, pairs: Sequence[Pair]) -> list[Verdict]:
    """What a model says of each pair: how likely it holds A and B behind the question, or what it names."""
    asked = [question(pair) for pair in pairs] + [question(Pair(p.messages, p.second, p.first)) for p in pairs]
    rows: Any = lm.worded(WORDING, LETTERS).predict(asked, LETTERS) if asked else []
    found = [float(row.softmax(-1)[0]) if bool(row.isfinite().any()) else math.nan for row in rows]
    return [Verdict(p, 1 - q) for p, q in zip(found[: len(pairs)], found[len(pairs) :], strict=True)]
