"""Chat templates that behave as those of well-known models do with tools and reasoning, and a conversation for them."""

from __future__ import annotations

import json
from functools import cache

from transformers import PreTrainedTokenizerFast

import tiny
from luthier.core.records import Message

TOOLS = json.dumps([{"type": "function", "function": {"name": "weather", "parameters": {"city": "string"}}}])
ID = "abcdefghi"  # nine letters and digits, as Mistral's templates want


def call(**arguments: object) -> str:
    return json.dumps([{"id": ID, "type": "function", "function": {"name": "weather", "arguments": arguments}}])


QWEN25 = (  # tools in the system turn, calls in tags, answers of tools as the user's, several in one turn
    "{% if tools %}{{ '<|im_start|>system\n' + (messages[0].content + '\n\n' if messages[0].role == 'system' else '') "
    "+ '<tools>' }}{% for t in tools %}{{ '\n' + t | tojson }}{% endfor %}{{ '\n</tools><|im_end|>\n' }}"
    "{% elif messages[0].role == 'system' %}{{ '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}"
    "{% endif %}"
    "{% for m in messages %}{% if m.role == 'user' or (m.role == 'system' and not loop.first) "
    "or (m.role == 'assistant' and not m.tool_calls) %}"
    "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% elif m.role == 'assistant' %}{{ '<|im_start|>assistant' }}{% if m.content %}{{ '\n' + m.content }}{% endif %}"
    '{% for c in m.tool_calls %}{% set c = c.function or c %}{{ \'\n<tool_call>\n{"name": "\' + c.name + '
    "'\", \"arguments\": ' + c.arguments | tojson + '}\n</tool_call>' }}{% endfor %}{{ '<|im_end|>\n' }}"
    "{% elif m.role == 'tool' %}{% if loop.index0 == 0 or messages[loop.index0 - 1].role != 'tool' %}"
    "{{ '<|im_start|>user' }}{% endif %}{{ '\n<tool_response>\n' + m.content + '\n</tool_response>' }}"
    "{% if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ '<|im_end|>\n' }}{% endif %}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN3 = QWEN25.replace(  # reasoning behind the last question only, an empty block where the last turn has none
    "or (m.role == 'assistant' and not m.tool_calls) %}"
    "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% elif m.role == 'assistant' %}{{ '<|im_start|>assistant' }}{% if m.content %}{{ '\n' + m.content }}{% endif %}",
    "%}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% elif m.role == 'assistant' %}"
    "{% set ns = namespace(thought='', content=m.content, last=0) %}"
    "{% for each in messages %}{% if each.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% if m.reasoning_content is string %}{% set ns.thought = m.reasoning_content %}{% elif '</think>' in m.content %}"
    "{% set ns.thought = m.content.split('</think>')[0].split('<think>')[-1].strip('\n') %}"
    "{% set ns.content = m.content.split('</think>')[-1].lstrip('\n') %}{% endif %}{{ '<|im_start|>assistant\n' }}"
    "{% if loop.index0 > ns.last and (loop.last or ns.thought) %}{{ '<think>\n' + ns.thought + '\n</think>\n\n' }}"
    "{% endif %}{{ ns.content }}",
)
LLAMA31 = (  # tools in the first question, one call a turn and nothing beside it, answers of tools as JSON
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'tool' or m.role == 'ipython' %}"
    "{{ '<|start_header_id|>ipython<|end_header_id|>\n\n' + m.content | tojson + '<|eot_id|>' }}{% elif m.tool_calls %}"
    "{% if m.tool_calls | length != 1 %}{{ raise_exception('This model only supports single tool-calls at once!') }}"
    "{% endif %}{% set c = m.tool_calls[0].function %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n"
    '{"name": "\' + c.name + \'", "parameters": \' + c.arguments | tojson + \'}<|eot_id|>\' }}{% else %}'
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' }}"
    "{% if m.role == 'user' and tools and loop.index0 < 2 %}"
    "{{ 'Given the functions:\n' }}{% for t in tools %}{{ t | tojson(indent=4) + '\n\n' }}{% endfor %}{% endif %}"
    "{{ m.content | trim + '<|eot_id|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
MISTRAL = (  # tools before the last question only, calls with ids of nine characters
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}"
    "{% endif %}{% endfor %}{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}"
    "{% if tools and loop.index0 == ns.last %}{{ '[AVAILABLE_TOOLS] ' + tools | tojson + '[/AVAILABLE_TOOLS]' }}"
    "{% endif %}"
    "{{ '[INST] ' + m.content + '[/INST]' }}{% elif m.tool_calls %}{{ '[TOOL_CALLS] [' }}{% for c in m.tool_calls %}"
    "{% if not c.id is defined or c.id | length != 9 %}"
    "{{ raise_exception('Tool call IDs should be alphanumeric strings with length 9!') }}{% endif %}"
    "{{ c.function | tojson + ', \"id\": \"' + c.id + '\"' }}{% endfor %}{{ ']' + eos_token }}"
    "{% elif m.role == 'assistant' %}{{ ' ' + m.content + eos_token }}{% elif m.role == 'tool' %}"
    "{{ '[TOOL_RESULTS] {\"content\": ' + m.content | string "
    "+ ', \"call_id\": \"' + m.tool_call_id + '\"}[/TOOL_RESULTS]' }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
R1 = (  # arguments of calls as text, no declarations, what stands before </think> cut out
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '<|User|>' + m.content }}"
    "{% elif m.role == 'system' %}{{ m.content }}{% elif m.role == 'assistant' and m.tool_calls is defined %}"
    "{{ '<|Assistant|>' }}{% for c in m.tool_calls %}{{ '<call>' + c.type + '<sep>' + c.function.name + '\n```json\n' "
    "+ c.function.arguments + '\n```</call>' }}{% endfor %}{{ eos_token }}{% elif m.role == 'assistant' %}"
    "{{ '<|Assistant|>' + m.content.split('</think>')[-1] + eos_token }}"
    "{% elif m.role == 'tool' %}{{ '<output>' + m.content + '</output>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|Assistant|><think>\n' }}{% endif %}"
)
OSS = (  # channels; reasoning as `thinking`, one call a turn, the developer's words and the tools in one block
    "{{ '<|start|>system<|message|>You are a model.<|end|>' }}{% set rest = messages %}"
    "{% if messages[0].role in ['system', 'developer'] or tools %}{{ '<|start|>developer<|message|>' }}"
    "{% if messages[0].role in ['system', 'developer'] %}{{ messages[0].content }}{% set rest = messages[1:] %}"
    "{% endif %}"
    "{% for t in tools or [] %}{{ '\ntype ' + t.function.name + ' = (' + t.function.parameters | tojson + ')' }}"
    "{% endfor %}{{ '<|end|>' }}{% endif %}{% for m in rest %}{% if m.role == 'assistant' and m.tool_calls %}"
    "{% if m.thinking %}{{ '<|start|>assistant<|channel|>analysis<|message|>' + m.thinking + '<|end|>' }}{% endif %}"
    "{% set c = m.tool_calls[0].function %}{{ '<|start|>assistant to=functions.' + c.name "
    "+ '<|channel|>commentary json<|message|>' + c.arguments | tojson + '<|call|>' }}{% elif m.role == 'assistant' %}"
    "{% if loop.last and not add_generation_prompt %}{% if m.thinking %}"
    "{{ '<|start|>assistant<|channel|>analysis<|message|>' + m.thinking + '<|end|>' }}{% endif %}"
    "{{ '<|start|>assistant<|channel|>final<|message|>' + m.content + '<|return|>' }}{% else %}"
    "{{ '<|start|>assistant<|channel|>final<|message|>' + m.content + '<|end|>' }}{% endif %}"
    "{% elif m.role == 'tool' %}{{ '<|start|>functions.x to=assistant<|message|>' + m.content | tojson + '<|end|>' }}"
    "{% elif m.role == 'user' %}{{ '<|start|>user<|message|>' + m.content + '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)
ASK = Message("user", "Is it warm in Köln?", tools=TOOLS)
CALL = Message("assistant", "", calls=call(city="Köln"))
TOLD = Message("tool", '{"temp": 21}', name="weather", call_id=ID)
SAY = Message("assistant", "Yes, 21 °C.")
CHAT = [ASK, CALL, TOLD, SAY]


@cache
def _tokenizer() -> PreTrainedTokenizerFast:
    special = ["<s>", "</s>", *tiny.SPECIAL, "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|call|>"]
    special += ["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|User|>", "<|Assistant|>"]
    return tiny.byte_tokenizer(["Is it warm in Köln? Yes."], special, 400, bos_token="<s>", eos_token="</s>")


def with_template(template: str | None) -> PreTrainedTokenizerFast:
    tokenizer = _tokenizer()
    tokenizer.chat_template = template
    return tokenizer
