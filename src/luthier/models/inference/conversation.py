"""A conversation of any length with a model, in memory that does not grow: each turn goes on from what was read.

Of a turn only its own tokens are read: what the chat template writes behind an answer, the words, and what stands
before the next answer. What was said before is in the stream, as far as that keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from luthier.core.errors import Unrendered
from luthier.core.phrases import say
from luthier.core.records import Message, Sampling
from luthier.core.window import Window
from luthier.data.prompts import compose
from luthier.models.inference.decode import line_tokens
from luthier.models.inference.streaming import Stream

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM

UNDECIDED = "\ufffd"  # what a decoded text ends with in the middle of a character
ANSWER = "\ue002said\ue003"  # private-use characters: no template has them


class Conversation:
    """One that has not begun. Raises what `Stream` does."""

    def __init__(self, lm: CausalLM, window: Window) -> None:
        self.lm, self.stream = lm, Stream(lm, window)
        own, template = lm.ends, lm.wording(())
        whole = template.chat or template.lines
        self.ends = own if whole else replace(own, tokens=(*own.tokens, *line_tokens(lm.tokenizer)))
        self.begun = False
        self.ended = False  # the last answer, by itself

    def say(self, text: str, sampling: Sampling) -> Iterator[str]:
        """The answer to a turn, piece by piece. Raises LuthierError where the template hides where an answer ends."""
        ids = self._turn(text)
        self.begun, self.ended = True, False
        return self._shown(ids, sampling)

    def _turn(self, text: str) -> list[int]:
        """Tokens of the turn, with what ends the answer before it."""
        asked = Message("user", text)
        if not self.begun:
            return [*self.lm.virtual, *self.lm.encode_whole((asked,), (), self.lm.shots_for((asked,)))]
        found = self.lm.tokenizer(self._behind(asked), add_special_tokens=False, verbose=False)
        ids: list[int] = list(found["input_ids"])
        return ids[1:] if self.ended and ids[:1] == self.stream.unread else ids

    def _behind(self, asked: Message) -> str:
        """What stands between an answer and the next one."""
        from luthier.data.chat import prompt_text

        composed = compose(self.lm.wording(()), (Message("user", "a"), Message("assistant", ANSWER), asked), (), ())
        text = composed if isinstance(composed, str) else prompt_text(self.lm.tokenizer, composed)
        _, found, behind = text.rpartition(ANSWER)
        if not found:
            raise Unrendered(say("said_template_hides", why=say("said_hides_words")))
        return behind.removeprefix(self.ends.text) if self.ended else behind

    def _shown(self, ids: list[int], sampling: Sampling) -> Iterator[str]:
        """Pieces of text, held back while a character or the text that ends an answer may be on its way."""
        decode, end = self.lm.tokenizer.decode, self.ends.text
        before, held, text = list[int](), list[int](), ""
        for token in self.stream.write(ids, sampling, self.ends):
            self.ended = token.end == "stop"
            if self.ended and not end:
                break
            held.append(token.id)
            whole, known = (str(decode(part, skip_special_tokens=True)) for part in (before + held, before))
            if whole.endswith(UNDECIDED) and not token.end:
                continue
            text += whole[len(known) :]
            before, held = held, []
            ready = len(text) if token.end else max(len(text) - len(end) + 1, 0) if end else len(text)
            yield self.ends.cut(text) if self.ended else text[:ready]
            text = text[ready:]
