"""A conversation as training examples of a causal model: room for the answers is kept, prompts are shortened.

One that fits is one sequence in which every answer is learned (`luthier.data.chat`). Of one that is too long the last
answer stands behind its prompt as scoring and generation shorten it, with the earlier answers that stand there whole.
What is not among them is learned in an example of its own that ends with it, so that no answer is lost; only one that
is longer than the limit by itself loses its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from luthier.core.example import Example
from luthier.data.chat import Encoded, encode_chat
from luthier.data.pack import next_token

if TYPE_CHECKING:
    from luthier.core.records import Message
    from luthier.models.causal import CausalLM


def chat_examples(lm: CausalLM, row: int, messages: Sequence[Message]) -> list[Example]:
    """Examples of a conversation's answers, in its order."""
    ahead = len(lm.virtual)
    encoded = encode_chat(lm.tokenizer, messages)
    if all(ahead + len(e.ids) <= lm.limit and ahead + _place(e)[0] <= lm.limit - lm.room for e in encoded):
        return [next_token(row, [*lm.virtual, *e.ids], [False] * ahead + e.answer, lm.limit) for e in encoded]
    left = [i for i, m in enumerate(messages) if i and m.role == "assistant" and m.learned]
    out: list[Example] = []
    while left:
        example, learned = _ending(lm, row, messages[: left[-1] + 1], left)
        out.insert(0, example)
        left = [i for i in left if i not in learned]
    return out


def _place(encoded: Encoded) -> tuple[int, int]:
    """Where the last answer begins and ends."""
    end = max((i + 1 for i, answer in enumerate(encoded.answer) if answer), default=0)
    return next((i for i in range(end, 0, -1) if not encoded.answer[i - 1]), 0), end


def _ending(lm: CausalLM, row: int, messages: Sequence[Message], left: Sequence[int]) -> tuple[Example, set[int]]:
    """The example that ends with the conversation's last turn, and the turns of `left` that are learned in it."""
    asked, last = messages[:-1], messages[-1]
    room = lm.answer_room(lm.encode_answer(last.content))
    while True:
        found = lm.read_prompt(asked, (), room)
        turns = zip(cast("Sequence[Message]", found.prompt), found.kept, strict=True)
        marked = [replace(m, learned=at in left) for m, at in turns]
        encoded = encode_chat(lm.tokenizer, [*marked, last])
        ids, flags = encoded[-1]
        start, end = _place(encoded[-1])
        if end - start <= room:
            break
        room = end - start  # calls and reasoning make an answer longer than its words
    ahead = found.ids[: len(lm.virtual)]
    learned = {at for at in found.kept if at in left}
    if not found.whole or len(encoded) > 1 or [*ahead, *ids[:start]] != found.ids:
        learned, flags = set(), [False] * len(flags)
    before = [False] * len(ahead) + flags[:start] if learned else [False] * len(found.ids)
    answer = [True] * (end - start)
    example = next_token(row, [*found.ids, *ids[start:end]], [*before, *answer], lm.limit, found.cut)
    return example, {*learned, left[-1]}
