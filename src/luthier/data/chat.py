"""Conversations to tokens through the tokenizer's chat template, with the assistant's own tokens marked.

Templates need no generation tags. Where an answer begins and ends is found by rendering: the conversation so far with
a generation prompt says what stands before the answer, and the same conversation with a mark as its answer says what
the template writes around one. Templates that cannot show that are refused, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from luthier.core.errors import LuthierError, Unrendered
from luthier.core.phrases import of_error, say
from luthier.core.records import Message
from luthier.data.rendering import MARK, Writer, accepted, missing

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Encoded", "Unrendered", "Verdict", "answer_end", "encode_chat", "encode_prompt", "prompt_text", "verdict"]
_CLOSING = re.compile(r"\s*\S+")  # of what a template writes after an answer, what is learned with it


class Encoded(NamedTuple):
    """A token sequence, and which of its tokens are the assistant's to say (the end-of-turn token included)."""

    ids: list[int]
    answer: list[bool]


class _Turn(NamedTuple):
    """One rendered answer: the conversation's text up to and including it, and where in it the answer stands."""

    text: str
    start: int
    end: int


def encode_chat(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[Encoded]:
    """Token sequences of a conversation with the assistant's tokens marked; several only where the template needs it.

    One sequence carries every assistant turn, unless the template rewrites earlier turns (Qwen3 removes their
    thinking): then each turn that reads differently later gets a sequence that ends with it.

    Marked are the answer and its end-of-turn token, not the line end that templates put after it. The text is
    tokenised as a whole; only where that would change the prompt's last tokens or melt an answer into its neighbours
    (a prompt that ends in a space, an answer that begins with a line end) it is cut at the border, so that what stands
    before an answer is what `encode_prompt` gives at inference. A token belongs to the answer when all of it does,
    white space behind the end-of-turn token apart. A template that ends an answer with nothing gets the tokenizer's
    end token after the last one.

    A system message that the template refuses or leaves out is put before the first words of the user; same roles in
    a row are joined where the template wants them to alternate. Without a chat template the conversation reads
    "{user}\\n\\n{assistant}{eos}", after a beginning-of-text token where the tokenizer adds one by itself.

    Tools are declared, called and answered where the template can write that, and reasoning where it writes it: what
    it writes is compared with what the row says.

    Raises LuthierError when there is no answer, Unrendered when the template hides where it stands, or leaves out or
    changes what is to be learned, a tool or a call.
    """
    turns = _turns(*accepted(tokenizer, messages)[:2], whole=True)
    if not turns:
        raise LuthierError("a conversation without an answer to learn: no assistant message follows another message")
    kept: list[tuple[str, list[_Turn]]] = []
    for turn in reversed(turns):
        text, shared = next(((t, s) for t, s in kept if t.startswith(turn.text[: turn.end])), (turn.text, None))
        if shared is None:
            kept.append((text, [turn]))
        else:
            shared.append(turn)
    out = []
    for text, shared in reversed(kept):
        ids, spans = _tokenise(tokenizer, text, shared)
        answers = [any(t.start <= start and end <= t.end for t in shared) for start, end in spans]
        out.append(Encoded(ids, answers))
    return out


def encode_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """Token ids of `prompt_text`: what stands before the answer in `encode_chat`."""
    writer, form, _ = accepted(tokenizer, messages)
    text = _prompt(writer, form)
    earlier = [turn for turn in _turns(writer, form) if text.startswith(turn.text[: turn.end])]
    return _tokenise(tokenizer, text, earlier)[0]


def encode_said(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """Token ids of a conversation that ends with the assistant's turn, as far as the token that ends it."""
    (*_, last) = encode_chat(tokenizer, [*messages[:-1], replace(messages[-1], learned=True)])
    return last.ids[: max((i + 1 for i, said in enumerate(last.answer) if said), default=len(last.ids))]


class Verdict(NamedTuple):
    """How a template writes a conversation. reason: why it cannot be written as the row says it, "" where it can.

    unnamed, rewritten: a speaker's name is left out, earlier words that are not learned are changed.
    """

    reason: str = ""
    unnamed: bool = False
    rewritten: bool = False


_VERDICTS: dict[tuple[str, tuple[Message, ...]], Verdict] = {}  # a comparison asks about the same rows many times
_MOST = 200_000


def verdict(tokenizer: PreTrainedTokenizerBase, messages: tuple[Message, ...]) -> Verdict:
    """Whether `encode_chat` and `encode_prompt` can write a conversation, by its renderings alone."""
    key = (str(tokenizer.chat_template), messages)
    found = _VERDICTS.get(key)
    if found is None:
        if len(_VERDICTS) >= _MOST:
            _VERDICTS.clear()
        found = _VERDICTS[key] = _verdict(tokenizer, messages)
    return found


def _verdict(tokenizer: PreTrainedTokenizerBase, messages: tuple[Message, ...]) -> Verdict:
    try:
        spoken = accepted(tokenizer, messages)
        if spoken.changed:
            _turns(spoken.writer, spoken.form, whole=True)
    except Unrendered as error:
        return Verdict(of_error(error))
    return Verdict("", spoken.unnamed, spoken.rewritten)


def prompt_text(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> str:
    """The conversation as the model should read it before it answers, special tokens written out.

    It ends with the generation prompt; what a generation prompt adds that no rendered answer has (an opened <think>)
    is left off, so that training and inference agree. Raises LuthierError when the assistant spoke last.
    """
    return _prompt(*accepted(tokenizer, messages)[:2])


def _prompt(writer: Writer, history: Sequence[Message]) -> str:
    if history[-1].role == "assistant":
        raise LuthierError("a prompt cannot end with the assistant's message: the answer is what follows it")
    return _around(writer, history).prompt


class _Around(NamedTuple):
    """What the template writes before an answer, behind it, and for what is asked without an answer."""

    prompt: str
    after: str
    plain: str


def _around(writer: Writer, history: Sequence[Message]) -> _Around:
    """What the template writes before an answer to `history` (with all the history), and after it."""
    marked = writer([*history, Message("assistant", MARK)])
    before, mark, after = marked.partition(MARK)
    if not mark or MARK in after:
        raise _hidden("said_hides_words")
    prompt, plain = writer(history, prompt=True), writer(history)
    if before.startswith(prompt):
        # A template that ignores add_generation_prompt: the header that it writes before answers is the prompt.
        ignored = prompt == plain and before[len(prompt) :].strip()
        return _Around(before.rstrip(" ") if ignored else prompt, after, plain)
    common = _common(prompt, before)
    if len(common) <= len(_common(prompt, plain)):
        raise _hidden("said_hides_begin")
    return _Around(common, after, plain)


def _common(one: str, two: str) -> str:
    """The longest text that both begin with."""
    length = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    return one[:length]


def _turns(writer: Writer, messages: Sequence[Message], whole: bool = False) -> list[_Turn]:
    """Every learned answer that follows another message, rendered as the last one of its conversation.

    whole: an answer that is not written as the row says it raises Unrendered.
    """
    out = []
    for i, message in enumerate(messages):
        if message.role != "assistant" or i == 0 or not message.learned:
            continue
        around = _around(writer, messages[:i])
        text = writer(messages[: i + 1])
        if not text.startswith(around.prompt):
            raise _hidden("said_hides_before")
        said = bool(message.said.strip() or message.reasoning)  # an answer may be empty where the user wants it
        turn = _turn(writer.tokenizer, text, len(around.prompt), around.after, i == len(messages) - 1, said)
        if whole and (lost := missing(message, text[len(_common(around.plain, text)) : turn.end])):
            raise Unrendered(lost)
        out.append(turn)
    return out


def _turn(tokenizer: PreTrainedTokenizerBase, text: str, start: int, after: str, last: bool, said: bool) -> _Turn:
    """Where the answer that starts at `start` ends: behind the end-of-turn token that `after` begins with."""
    known = text.endswith(after)  # else what follows an answer depends on its words: all of it is the answer's
    content = len(text) - len(after) if known else len(text.rstrip())
    if said and not text[start:content].strip():
        raise _hidden("said_hides_answer")
    if not known:
        return _Turn(text, start, content)
    if closing := _CLOSING.match(after):
        return _Turn(text, start, content + closing.end())
    if not tokenizer.eos_token:  # what separates turns is all that ends one
        return _Turn(text, start, len(text))
    end = len(text[:content].rstrip())
    if last:
        text = text[:end] + str(tokenizer.eos_token)
        end = len(text)
    return _Turn(text, start, end)


def answer_end(tokenizer: PreTrainedTokenizerBase) -> str:
    """What `encode_chat` has an answer end with: the template's end of turn, else the tokenizer's end token.

    "" for a template that does not show it.
    """
    try:
        after = _around(Writer(tokenizer), [Message("user", "a")]).after
    except LuthierError:
        return ""
    closing = _CLOSING.match(after)
    return closing[0] if closing else str(tokenizer.eos_token or after)


def _hidden(key: str) -> Unrendered:
    return Unrendered(say("said_template_hides", why=say(key)))


def _tokenise(
    tokenizer: PreTrainedTokenizerBase, text: str, turns: Sequence[_Turn]
) -> tuple[list[int], list[tuple[int, int]]]:
    """Ids and the stretch of text of each: tokenised as a whole but for cuts where a border would not hold."""
    cuts: list[int] = []
    ids, spans = _pieces(tokenizer, text, cuts)
    for turn in sorted(turns, key=lambda turn: turn.start):
        # Comparing ids finds more than straddling: GPT-2's rules split "\n\n" before a word, but not at the end.
        before = _pieces(tokenizer, text[: turn.start], cuts)[0]
        if ids[: len(before)] != before:
            cuts.append(turn.start)
            ids, spans = _pieces(tokenizer, text, cuts)
        if any(start < turn.end < end and not text[turn.end : end].isspace() for start, end in spans):
            cuts.append(turn.end)
            ids, spans = _pieces(tokenizer, text, cuts)
    # An end-of-turn token that swallows the line end after it (Phi-3's do) ends where the answer does.
    ends = [turn.end for turn in turns]
    return ids, [(start, next((e for e in ends if start < e < end), end)) for start, end in spans]


def _pieces(
    tokenizer: PreTrainedTokenizerBase, text: str, cuts: Sequence[int]
) -> tuple[list[int], list[tuple[int, int]]]:
    ids: list[int] = []
    spans: list[tuple[int, int]] = []
    for begin, stop in pairwise([0, *cuts, len(text)]):
        try:
            # The template has written the special tokens: adding them here would double the first.
            out: Any = tokenizer(text[begin:stop], add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        except NotImplementedError:
            raise LuthierError("the tokenizer does not say where its tokens stand: a fast one is needed") from None
        ids += out["input_ids"]
        at = begin
        for start, end in out["offset_mapping"]:
            # Byte-level tokenizers leave leading spaces out of a token's offsets: give them back to the token.
            first, last = start + begin, end + begin
            spans.append((at if first > at and text[at:first].isspace() else first, last))
            at = max(at, last)
    return ids, spans
