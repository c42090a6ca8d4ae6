"""Conversations with tools and reasoning, through templates that behave as those of well-known models do."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

import tiny
from luthier.core.records import Message
from luthier.data.chat import Unrendered, Verdict, encode_chat, encode_prompt, prompt_text, verdict
from templates import (
    ASK,
    CALL,
    CHAT,
    ID,
    LLAMA31,
    MISTRAL,
    OSS,
    QWEN3,
    QWEN25,
    R1,
    SAY,
    TOLD,
    call,
    with_template,
)


def learned(template: str, messages: list[Message]) -> list[str]:
    """What is marked in each sequence, decoded, and that each begins as the prompt of its last answer does."""
    tokenizer = with_template(template)
    out = []
    for ids, answer in encode_chat(tokenizer, messages):
        out.append(str(tokenizer.decode([i for i, a in zip(ids, answer, strict=True) if a])))
    last = [i for i, m in enumerate(messages) if m.role == "assistant"][-1]
    prompt = encode_prompt(tokenizer, messages[:last])
    assert any(ids[: len(prompt)] == prompt for ids, _ in encode_chat(tokenizer, messages))
    assert tokenizer.decode(prompt) == prompt_text(tokenizer, messages[:last])
    return out


QWEN_CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Köln"}}\n</tool_call><|im_end|>'
CASES = {
    "qwen2.5": (QWEN25, [QWEN_CALL + "Yes, 21 °C.<|im_end|>"], '{"temp": 21}'),
    "llama3.1": (
        LLAMA31, ['{"name": "weather", "parameters": {"city": "Köln"}}<|eot_id|>Yes, 21 °C.<|eot_id|>'],
        '{\\"temp\\": 21}',
    ),
    "mistral": (
        MISTRAL,
        ['[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Köln"}}, "id": "abcdefghi"]</s> Yes, 21 °C.</s>'],
        '{"temp": 21}',
    ),
    "r1": (
        R1, ['<call>function<sep>weather\n```json\n{"city": "Köln"}\n```</call></s>Yes, 21 °C.</s>'], '{"temp": 21}'
    ),
    "gpt-oss": (
        OSS,
        [' to=functions.weather<|channel|>commentary json<|message|>{"city": "Köln"}<|call|>'
         "<|channel|>final<|message|>Yes, 21 °C.<|return|>"],
        '{\\"temp\\": 21}',
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_calls_are_learned_and_tools_and_their_answers_are_read(name: str) -> None:
    template, want, told = CASES[name]
    chat = CHAT if name != "r1" else [replace(ASK, tools=""), *CHAT[1:]]  # its template declares no tools
    assert learned(template, chat) == want
    prompt = prompt_text(with_template(template), chat[:3])
    assert told in prompt and ("weather" in prompt_text(with_template(template), chat[:1])) == (name != "r1")


def test_a_turn_with_words_and_calls_is_learned_whole() -> None:
    both = replace(CALL, content="Let me look.")
    assert learned(QWEN25, [ASK, both])[0] == "Let me look.\n" + QWEN_CALL
    with pytest.raises(Unrendered, match="changes an answer, or leaves a part of it out"):
        encode_chat(with_template(LLAMA31), [ASK, both])


def test_only_marked_turns_are_learned() -> None:
    assert learned(QWEN25, [ASK, replace(CALL, learned=False), TOLD, SAY]) == ["Yes, 21 °C.<|im_end|>"]


def test_reasoning_is_learned_where_the_template_writes_it() -> None:
    """Thinking before a call stays while its question is answered, and goes with the next question."""
    thought = replace(CALL, reasoning="I must look.")
    chat = [ASK, thought, TOLD, SAY, Message("user", "And now?"), replace(SAY, content="Yes.", reasoning="As before.")]
    first, last = learned(QWEN3, chat)
    assert first == (f"<think>\nI must look.\n</think>\n\n\n{QWEN_CALL}<think>\n\n</think>\n\nYes, 21 °C.<|im_end|>")
    assert last == "<think>\nAs before.\n</think>\n\nYes.<|im_end|>"
    oss = learned(OSS, [ASK, replace(SAY, reasoning="It is warm.")])
    assert oss == [
        "<|channel|>analysis<|message|>It is warm.<|end|>"
        "<|start|>assistant<|channel|>final<|message|>Yes, 21 °C.<|return|>"
    ]


def test_developers_are_heard() -> None:
    """A template that knows no developer gets its words as the system's, or before the question."""
    chat = [Message("developer", "Be brief."), Message("user", "Hi"), Message("assistant", "Hi.")]
    assert "<|start|>developer<|message|>Be brief." in prompt_text(with_template(OSS), chat[:2])
    assert prompt_text(with_template(QWEN25), chat[:2]).startswith("<|im_start|>system\nBe brief.<|im_end|>")
    silent = QWEN25.replace("messages[0].role == 'system'", "false").replace("m.role == 'system'", "false")
    assert "<|im_start|>user\nBe brief.\n\nHi" in prompt_text(with_template(silent), chat[:2])


def test_several_system_texts_all_stay() -> None:
    chat = [Message("system", "One."), Message("system", "Two."), Message("user", "Hi")]
    first_only = (
        "{% for m in messages %}{% if m.role != 'system' or loop.first %}"
        + tiny.CHATML[len("{% for m in messages %}") :]
    )
    first_only = first_only.replace("{% endfor %}", "{% endif %}{% endfor %}")
    assert prompt_text(with_template(first_only), chat).startswith("<|im_start|>system\nOne.\n\nTwo.<|im_end|>")
    assert prompt_text(with_template(tiny.CHATML), chat).count("system\n") == 2


NO_CALLS = QWEN25.replace("{% for c in m.tool_calls %}", "{% for c in [] %}")
NO_ANSWERS = QWEN25.replace("'\n<tool_response>\n' + m.content + '\n</tool_response>'", "''")
REFUSED = [
    (tiny.CHATML, CHAT, "declarations of tools"),
    (tiny.CHATML, [replace(ASK, tools=""), *CHAT[1:]], "a call of weather"),
    (NO_CALLS, CHAT, "a call of weather"),
    (NO_ANSWERS, CHAT, "what a tool answers"),
    (None, CHAT, "without a chat template"),
    (LLAMA31, [ASK, replace(CALL, calls=json.dumps(json.loads(CALL.calls) * 2)), TOLD, SAY], "single tool-calls"),
    (MISTRAL, [ASK, replace(CALL, calls=CALL.calls.replace(ID, "1")), TOLD, SAY], "length 9"),
    (OSS, [ASK, replace(CALL, calls=json.dumps([*json.loads(CALL.calls), *json.loads(call(city="Bonn"))])), TOLD, SAY],
     "a call of weather"),
    (QWEN25, [ASK, replace(SAY, reasoning="It is warm.")], "leaves the reasoning of an answer out"),
    (R1, [Message("user", "2+2?"), Message("assistant", "<think>\nTwo and two.\n</think>\n\n4")], "changes an answer"),
    (tiny.CHATML.replace("m.content", "m.content | lower"), [Message("user", "Hi"), SAY], "changes an answer"),
    (tiny.CHATML.replace("m.content", "m.content[:12]"), [Message("user", "Hi"), Message("assistant", "x" * 13)],
     "changes an answer"),
]  # fmt: skip


@pytest.mark.parametrize(("template", "chat", "why"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_what_a_template_cannot_write_is_refused(template: str | None, chat: list[Message], why: str) -> None:
    with pytest.raises(Unrendered, match=why):
        encode_chat(with_template(template), chat)
    assert re.search(why, verdict(with_template(template), tuple(chat)).reason)


@pytest.mark.parametrize("template", [None, tiny.CHATML, NO_ANSWERS])
def test_prompts_are_refused_alike(template: str | None) -> None:
    with pytest.raises(Unrendered):
        encode_prompt(with_template(template), CHAT[:3])


def test_trimmed_answers_are_what_the_row_says() -> None:
    trimmed = tiny.CHATML.replace("m.content", "m.content | trim")
    assert learned(trimmed, [Message("user", "Hi"), Message("assistant", "  Yes.\n")]) == ["Yes.<|im_end|>"]


def test_names_and_earlier_words_are_told_of() -> None:
    chat = [
        Message("user", "Hi", name="Ann"),
        Message("assistant", "A"),
        Message("user", "So?"),
        Message("assistant", "B"),
    ]
    assert verdict(with_template(tiny.CHATML), tuple(chat)) == Verdict("", True, False)
    named = tiny.CHATML.replace("m.role + '\n'", "m.role + (' ' + m.name if m.name else '') + '\n'")
    assert verdict(with_template(named), tuple(chat)) == Verdict("", False, False)
    short = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + (m.content if loop.last or m.role == 'assistant' "
    )
    short += "else m.content[:1]) + '<|im_end|>\n' }}{% endfor %}" + tiny.CHATML.partition("{% endfor %}")[2]
    assert verdict(with_template(short), tuple(chat)) == Verdict("", True, True)
