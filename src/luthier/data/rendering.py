"""Conversations written by a tokenizer's chat template, and whether what is written is what the row says.

A template is somebody else's program: it may know nothing of tools or reasoning, want the arguments of calls as text,
refuse roles, rewrite or leave out what it is given. `accepted` finds the form of a conversation that it writes whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from luthier.core.errors import LuthierError, Unrendered
from luthier.core.phrases import of_error, say
from luthier.core.records import Message
from luthier.data.forms import SYSTEM, forms_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MARK = "\ue000answer\ue001"  # private-use characters: no template has them, no trim removes them


@dataclass(frozen=True)
class Writer:
    """One way to give conversations to a chat template.

    tools: declarations, as JSON. texts: the arguments of calls are given as JSON text, not as objects.
    """

    tokenizer: PreTrainedTokenizerBase
    tools: str = ""
    texts: bool = False

    def __call__(self, messages: Sequence[Message], prompt: bool = False) -> str:
        """The conversation as text, special tokens written out; `prompt`: with the generation prompt behind it."""
        if not self.tokenizer.chat_template:
            return self._plain(messages)
        turns = [turn_values(message, self.texts) for message in messages]
        tools = _parsed(self.tools) if self.tools else None
        try:
            return str(
                self.tokenizer.apply_chat_template(turns, tools=tools, tokenize=False, add_generation_prompt=prompt)
            )
        except Exception as error:  # a template may raise anything
            roles = ", ".join(message.role for message in messages)
            raise Unrendered(say("said_template_roles", roles=roles, reason=str(error))) from None

    def _plain(self, messages: Sequence[Message]) -> str:
        """Without a chat template: "{user}\\n\\n{assistant}{eos}", behind a bos where the tokenizer adds one."""
        if self.tools or carries_more(messages):
            raise Unrendered(say("said_template_none"))
        end = self.tokenizer.eos_token or "\n\n"
        begin = self.tokenizer.bos_token
        if begin is None or self.tokenizer("a")["input_ids"][0] != self.tokenizer.bos_token_id:
            begin = ""
        return str(begin) + "".join(m.content + (end if m.role == "assistant" else "\n\n") for m in messages)


REASONING = ("reasoning_content", "reasoning", "thinking")  # the names that templates know it by


def turn_values(message: Message, texts: bool = False, reasoning: Sequence[str] = REASONING) -> dict[str, Any]:
    """A message in OpenAI's form. texts: arguments as JSON text. reasoning: the names that it is given under."""
    out: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.name:
        out["name"] = message.name
    if message.call_id:
        out["tool_call_id"] = message.call_id
    if message.reasoning:
        out |= dict.fromkeys(reasoning, message.reasoning)
    if message.calls:
        out["tool_calls"] = _parsed(message.calls)
        if texts:
            out["tool_calls"] = [_worded(call) for call in out["tool_calls"]]
    return out


def _worded(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return {**call, "function": {**function, "arguments": json.dumps(function["arguments"], ensure_ascii=False)}}


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Any:
    return json.loads(text)


def tools_of(messages: Sequence[Message]) -> str:
    """The declarations of a conversation's tools, whichever of its messages carries them."""
    return next((message.tools for message in messages if message.tools), "")


class Spoken(NamedTuple):
    """A conversation as a template writes it whole: how it is given, in which form, and the text."""

    writer: Writer
    form: list[Message]
    text: str

    @property
    def unnamed(self) -> bool:
        """Whether the name of a speaker is left out: not learned, so not refused."""
        if not any(message.name for message in self.form):
            return False
        bare = [replace(message, name="") for message in self.form]
        try:
            return self.writer(bare, self.form[-1].role != "assistant") == self.text
        except Unrendered:  # it wants names
            return False

    @property
    def rewritten(self) -> bool:
        """Whether earlier words that are not learned are changed: not refused either."""
        said = [m for m in self.form[:-1] if m.role == "user" or (m.role == "assistant" and not m.learned)]
        return not all(_within(message.content, self.text) for message in said)

    @property
    def changed(self) -> bool:
        """Whether words to be learned are not all in the text; each may still be, as the last of its conversation."""
        said = [m for m in self.form if m.role == "assistant" and m.learned]
        return any(m.calls or m.reasoning or not _within(m.content, self.text) for m in said)


def accepted(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> Spoken:
    """The messages in the first form that the template writes whole. Raises Unrendered where there is none.

    Whole: every system text, every tool's declaration, every tool's turn and every call is there.
    """
    if not messages:
        raise LuthierError("a conversation without messages")
    problem, tools = "", tools_of(messages)
    ways = [Writer(tokenizer, tools)]
    if any(message.calls for message in messages):
        ways.append(replace(ways[0], texts=True))
    for form in forms_of(list(messages)):
        for writer in ways:
            try:
                text = writer(form, prompt=form[-1].role != "assistant")
                lost = _lost(writer, form, text)
            except Unrendered as error:
                lost = of_error(error)
            else:
                if not lost:
                    return Spoken(writer, form, text)
            problem = problem or lost
    raise Unrendered(problem)


def _lost(writer: Writer, messages: Sequence[Message], text: str) -> str:
    """What the rendering `text` leaves out, as a sentence; "" where nothing is lost."""
    prompt = messages[-1].role != "assistant"
    if any(m.role in SYSTEM and m.content.strip() not in text for m in messages):
        return _left_out(say("said_part_system"))
    if writer.tools:
        names = [tool["function"]["name"] for tool in _parsed(writer.tools)]
        if not all(name in text for name in names) or replace(writer, tools="")(messages, prompt) == text:
            return _left_out(say("said_part_tools"))
    if not any(m.calls or m.role == "tool" for m in messages):
        return ""
    marked, marks = _marked(messages)
    try:
        shown = writer(marked, prompt)
    except Unrendered:  # it parses what it is given, say
        return ""
    lost = [what for mark, what in marks.items() if mark not in shown and json.dumps(mark)[1:-1] not in shown]
    return _left_out(lost[0]) if lost else ""


def _left_out(what: str) -> str:
    return say("said_template_leaves", what=what)


def _marked(messages: Sequence[Message]) -> tuple[list[Message], dict[str, str]]:
    """The messages with marks in the place of what tools are called and answer, and what each mark stands for."""
    marks: dict[str, str] = {}
    out = []
    for message in messages:
        if message.role == "tool":
            mark = f"{MARK}{len(marks)}\ue002"
            marks[mark] = say("said_part_answer")
            message = replace(message, content=mark)
        elif message.calls:
            calls = []
            for call in _parsed(message.calls):
                mark = f"{MARK}{len(marks)}\ue002"
                marks[mark] = _a_call(call)
                calls.append({**call, "function": {**call["function"], "name": mark}})
            message = replace(message, calls=json.dumps(calls, ensure_ascii=False))
        out.append(message)
    return out, marks


def _a_call(call: dict[str, Any]) -> str:
    return say("said_part_call", name=call["function"]["name"])


def missing(message: Message, text: str) -> str:
    """What of an answer does not stand in its rendering `text`, as a sentence; "" where all of it does.

    White space at the ends of the words and beside a think tag makes no difference.
    """
    if not _within(message.content, text):
        return say("said_template_changes")
    if not _within(message.reasoning, text):
        return _left_out(say("said_part_reasoning"))
    if message.calls and (lost := _missing_call(message.calls, text)):
        return _left_out(lost)
    return ""


def _within(said: str, text: str) -> bool:
    at = 0
    for part in re.split(r"(</?think>)", said):
        if part := part.strip():
            found = text.find(part, at)
            if found < 0:
                return False
            at = found + len(part)
    return True


def _missing_call(calls: str, text: str) -> str:
    """The first call that does not stand in `text` with its name and its arguments, in words."""
    for call in _parsed(calls):
        function = call["function"]
        if not all(_stands(leaf, text) for leaf in [function["name"], *_leaves(function["arguments"])]):
            return _a_call(call)
    return ""


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def _stands(leaf: Any, text: str) -> bool:
    """Whether a value stands in a text: as it is, as JSON, or as JSON within JSON."""
    if not isinstance(leaf, str):
        return json.dumps(leaf) in text or str(leaf) in text
    forms = {leaf}
    for ascii_only in (False, True):
        once = json.dumps(leaf, ensure_ascii=ascii_only)[1:-1]
        forms |= {once, json.dumps(once, ensure_ascii=ascii_only)[1:-1]}
    return any(form in text for form in forms)


def carries_more(messages: Sequence[Message]) -> bool:
    """Whether a conversation is more than roles and words: tools, calls of them, their answers, reasoning."""
    return any(m.tools or m.calls or m.reasoning or m.role == "tool" for m in messages)
