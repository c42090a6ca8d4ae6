"""Prompts that are too long for a model: what gives way, the same wherever a prompt is read.

First the middle of the longest text that a model is given to read (a user's turn, a tool's), then that of the next
longest: a beginning stays, and the tail, since the question follows the text. Then earlier exchanges, the oldest first:
the middle of their answers, then all of them. Rules (system texts), the wording and the last question stay. At the very
end the middle of the token ids goes, so that the limit always holds. Cuts fall between whole characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from luthier.core.records import Message, Prompt
from luthier.data.pack import KEPT_TAIL, shortened

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

READ = ("user", "tool")  # roles whose texts a model is given to read
RULES = ("system", "developer")
LEAST = 2 * KEPT_TAIL  # tokens of a text, as long as another can give way
FEWEST = 8  # tokens of a text where none other can
JOINER = "\u200d"  # what makes one sign of the two beside it

CHANGED = -1

Encode = Callable[[Prompt], list[int]]
Span = tuple[int, int]


class Fitted(NamedTuple):
    """A prompt within a limit. ids: of its tokens; cut: how many it lost.

    kept: for each turn of `prompt` its place in the given conversation, CHANGED where it lost its middle. whole: `ids`
    are the tokens of `prompt`, not of its two ends.
    """

    prompt: Prompt
    ids: list[int]
    cut: int = 0
    kept: tuple[int, ...] = ()
    whole: bool = True


def fitted(prompt: Prompt, limit: int, encode: Encode, tokenizer: PreTrainedTokenizerBase) -> Fitted:
    """The prompt in at most `limit` tokens. encode: gives the ids of a worded prompt; called once for one that fits."""
    ids = encode(prompt)
    if len(ids) <= limit:
        return Fitted(prompt, ids, 0, () if isinstance(prompt, str) else tuple(range(len(prompt))))
    work = _Shortening(prompt, ids, limit, encode, tokenizer)
    work.run()
    left = shortened(work.ids, limit)
    return Fitted(work.prompt, left, len(ids) - len(left), () if work.plain else tuple(work.kept), work.over <= 0)


class _Shortening:
    """A prompt that gets shorter step by step. kept: as in `Fitted`."""

    def __init__(
        self, prompt: Prompt, ids: list[int], limit: int, encode: Encode, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        self.plain = isinstance(prompt, str)
        self.turns = [Message("user", prompt)] if isinstance(prompt, str) else list(prompt)
        self.kept = list(range(len(self.turns)))
        self.ids, self.limit, self.encode, self.tokenizer = ids, limit, encode, tokenizer

    @property
    def prompt(self) -> Prompt:
        return self.turns[0].content if self.plain else tuple(self.turns)

    @property
    def over(self) -> int:
        """Tokens beyond the limit."""
        return len(self.ids) - self.limit

    def run(self) -> None:
        self._middles(self._longest(READ), LEAST)
        self._exchanges()
        self._middles([i for i, turn in enumerate(self.turns) if turn.role not in (*READ, *RULES)], LEAST)
        self._middles(self._longest(RULES), max(self.limit // 2, LEAST))  # rules that leave no room for a question
        self._middles(self._longest(READ), FEWEST)

    def _longest(self, roles: Sequence[str]) -> list[int]:
        """Turns of these roles, the longest first."""
        found = [i for i, turn in enumerate(self.turns) if turn.role in roles]
        return sorted(found, key=lambda i: -len(self.turns[i].content.encode("utf-8", "replace")))

    def _middles(self, turns: Iterable[int], least: int) -> None:
        """Turn after turn loses its middle, as much as is needed, down to `least` tokens."""
        for i in turns:
            if self.over > 0:
                self._middle(i, least)

    def _middle(self, i: int, least: int) -> None:
        text = self.turns[i].content
        spans = spans_of(self.tokenizer, text)
        keep = len(spans)
        while self.over > 0 and keep > least:
            keep = max(keep - self.over, least)
            shorter = ends(text, spans, keep)
            if not shorter.strip():  # templates leave out a turn without words
                return
            # what an assistant never said is not to be learned
            learned = self.turns[i].learned and self.turns[i].role != "assistant"
            self.turns[i] = replace(self.turns[i], content=shorter, learned=learned)
            self.kept[i] = CHANGED
            self.ids = self.encode(self.prompt)

    def _exchanges(self) -> None:
        """Earlier exchanges, the oldest first: the middle of their answers, then all of them but rules."""
        while self.over > 0:
            first = next((i for i, turn in enumerate(self.turns) if turn.role not in RULES), len(self.turns))
            end = next((i for i in range(first + 1, len(self.turns)) if self.turns[i].role == "user"), None)
            if end is None:
                return
            self._middles([i for i in range(first, end) if self.turns[i].role == "assistant"], LEAST)
            if self.over > 0:
                self._leave_out({i for i in range(first, end) if self.turns[i].role not in RULES})

    def _leave_out(self, gone: set[int]) -> None:
        tools = self.turns[0].tools  # the conversation's, on whatever turn comes first
        left = [i for i in range(len(self.turns)) if i not in gone]
        self.turns = [self.turns[i] for i in left]
        self.turns[0] = replace(self.turns[0], tools=tools)
        self.kept = [self.kept[i] for i in left]
        self.ids = self.encode(self.prompt)


def ends(text: str, spans: Sequence[Span], keep: int) -> str:
    """The beginning and the tail of a text whose tokens stand at `spans`, of at most `keep` tokens together."""
    tail = min(keep // 2, KEPT_TAIL)
    head = keep - tail
    # tokens may be parts of one character: it goes as a whole
    start = min(spans[head - 1][1], spans[head][0]) if head else 0
    end = spans[len(spans) - tail - 1][1]
    while 0 < start < len(text) and _inside(text, start):
        start -= 1
    while end < len(text) and _inside(text, end):
        end += 1
    return text[:start] + text[max(start, end) :]


def _inside(text: str, at: int) -> bool:
    """Whether a cut there would part a letter from its marks, or the parts of a joined sign."""
    return unicodedata.category(text[at])[0] == "M" or JOINER in text[at - 1 : at + 1]


def spans_of(tokenizer: PreTrainedTokenizerBase, text: str) -> list[Span]:
    """Where in a text its tokens stand, in characters; parts of one character all stand on it."""
    try:
        out: Any = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    except NotImplementedError:  # a slow tokenizer does not say: as if all tokens were of one length
        plain: Any = tokenizer(text, add_special_tokens=False, verbose=False)
        count = len(plain["input_ids"])
        return [(len(text) * i // count, len(text) * (i + 1) // count) for i in range(count)]
    return [(start, end) for start, end in out["offset_mapping"]]


@dataclass
class Counted:
    """What the prompts of a model lost since the count began; a prompt is known by its hash.

    shortened: the limit in tokens to which each was shortened. asked: those that came with worked examples; fewer:
    those of them whose context had no room for all examples.
    """

    shortened: dict[int, int] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)
    fewer: set[int] = field(default_factory=set)

    def clear(self) -> None:
        """Begin anew."""
        self.shortened.clear()
        self.asked.clear()
        self.fewer.clear()


def known_as(prompt: Prompt) -> int:
    """The hash by which a prompt is counted."""
    return hash(prompt if isinstance(prompt, str) else tuple(prompt))
