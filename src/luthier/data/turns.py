"""One message of a row: who speaks, what is said, thought and called, and whether it is to be learned.

Read are OpenAI's form ({role, content, tool_calls, ...}) and ShareGPT's ({from, value}). Faults are said in words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from luthier.core.records import Message
from luthier.data.keys import Effect, Trace, call_keys, nothing
from luthier.data.rows import RejectError, answer_text, check, verdict
from luthier.data.source import kind, quoted

ROLES = ("system", "developer", "user", "assistant", "tool")
OTHER_ROLES: Mapping[str, str] = {"function": "tool", "ipython": "tool"}
SPEAKERS: Mapping[str, str] = {  # ShareGPT's `from`
    **{"system": "system", "human": "user", "user": "user"},
    **dict.fromkeys(("gpt", "assistant", "model", "chatgpt", "bard", "bing"), "assistant"),
    **{"developer": "developer", "function_call": "assistant"},
    **dict.fromkeys(("tool", "observation", "function_response", "tool_response"), "tool"),
}
FLAGS = ("weight", "train", "training", "loss", "loss_mask", "trainable")
REASONING = ("reasoning_content", "reasoning", "thinking")
CALLS = ("tool_calls", "function_call")
TEXTS = ("text", "input_text", "output_text")  # types of a content's parts


def messages_of(value: Any, name: str, trace: Trace) -> tuple[Message, ...]:
    """A list of messages; a system message that says nothing is none. Raises RejectError."""
    if not isinstance(value, list) or not value:
        raise RejectError(f"{name} is {'empty' if value == [] else kind(value) + ', not a list of messages'}")
    found = (message_of(turn, i, trace) for i, turn in enumerate(value, 1))
    return tuple(message for message in found if message is not None)


def until_learned(value: Any, trace: Trace) -> Any:
    """A list of messages without those behind its last learned answer, where answers behind it carry no loss."""
    if not isinstance(value, list):
        return value
    flags = [_flag(turn, Trace(judges=trace.judges)) if _speaks(turn) else None for turn in value]
    last = max((i for i, flag in enumerate(flags) if flag), default=None)
    if last is None or all(flag is None for flag in flags[last + 1 :]):
        return value
    for turn in value[last + 1 :]:
        read: set[str] = set()
        if _speaks(turn):
            _flag(turn, trace, read)
        trace.leave({key: each for key, each in turn.items() if key not in read} if read else turn)
    return value[: last + 1]


def _speaks(turn: Any) -> bool:
    """Whether a message is the assistant's."""
    if not isinstance(turn, dict):
        return False
    said = turn.get("from")
    role = turn.get("role") or (SPEAKERS.get(said.strip().lower()) if isinstance(said, str) else None)
    return role == "assistant"


def message_of(turn: Any, i: int, trace: Trace) -> Message | None:
    """The message of one turn, the `i`th; None for a system message that says nothing. Raises RejectError."""
    if not isinstance(turn, dict):
        raise RejectError(f"message {i} is {kind(turn)}, not an object with role and content")
    role, content, called = _role(turn, i, trace)
    message = Message(role, "")
    read = {"role" if content == "content" else "from", content}
    if role == "assistant" and not called:
        message = _said(message, turn, i, read, trace)
    elif role == "tool" and not nothing(turn.get("tool_call_id")):
        message = replace(message, call_id=_text(turn, "tool_call_id", i, read, trace))
    if not nothing(turn.get("name")):
        message = replace(message, name=_text(turn, "name", i, read, trace))
    if called:
        calls = calls_of(turn.get(content), f"the {content} of message {i}", trace)
        message = replace(message, calls=calls, learned=_flag(turn, trace, read) is not False)
        trace.mark("message", content, "used")
    else:
        text = _content(turn, content, message, i, trace)
        if text is None:
            trace.leave({key: value for key, value in turn.items() if key not in read})
            return None
        message = replace(message, content=text)
    for key, value in turn.items():
        if key not in read:
            trace.mark("message", str(key), "empty" if nothing(value) else "unused")
    return message


def _role(turn: Mapping[str, Any], i: int, trace: Trace) -> tuple[str, str, bool]:
    """Who speaks, the key of what is said, and whether that is a call of a tool (ShareGPT's function_call)."""
    role, content, called = turn.get("role"), "content", False
    if role is None and "from" in turn:
        said, content = turn["from"], "value"
        spoken = said.strip().lower() if isinstance(said, str) else ""
        role, called = SPEAKERS.get(spoken), spoken == "function_call"
        if role is None:
            shown = quoted([said]) if isinstance(said, str) else kind(said)
            raise RejectError(f"message {i} is from {shown}: known are {', '.join(SPEAKERS)}")
    elif isinstance(role, str):
        role = OTHER_ROLES.get(role, role)
    if role not in ROLES:
        said = f"has role {quoted([role])}" if isinstance(role, str) else "has no role"
        raise RejectError(f"message {i} {said}: roles are {', '.join((*ROLES, *OTHER_ROLES))}")
    trace.mark("message", "from" if content == "value" else "role", "used")
    return role, content, called


def _said(message: Message, turn: Mapping[str, Any], i: int, read: set[str], trace: Trace) -> Message:
    """The assistant's message with its reasoning, its calls, and whether it is learned."""
    for key in REASONING:
        if not nothing(turn.get(key)) and not message.reasoning:
            message = replace(message, reasoning=_text(turn, key, i, read, trace))
    for key in CALLS:
        if not nothing(turn.get(key)) and not message.calls:
            message = replace(message, calls=calls_of(turn[key], f"{key} of message {i}", trace))
            read.add(key)
            trace.mark("message", key, "used")
    return replace(message, learned=_flag(turn, trace, read) is not False)


def _flag(turn: Mapping[str, Any], trace: Trace, read: set[str] | None = None) -> bool:
    """Whether an answer is to be learned, as its flags say; without one it is. Raises RejectError."""
    said: dict[str, bool] = {}
    for key in FLAGS:
        if turn.get(key) is None:
            continue
        value = turn[key]
        given = bool(value) if isinstance(value, float) and value in (0.0, 1.0) else verdict(value)
        if given is None:
            shown = quoted([value]) if isinstance(value, str) else repr(value)[:40]
            raise RejectError(
                f"{key} of an answer is {shown}: 0 or false means that it is not learned, 1 or true that it is"
            )
        said[key] = given
        trace.mark("message", key, "usual" if given else "off", "loss")
        if read is not None:
            read.add(key)
    if len({*said.values()}) > 1:
        raise RejectError(f"{' and '.join(said)} of an answer contradict each other")
    return not _disliked(turn, trace, read) and all(said.values())


def _disliked(turn: Mapping[str, Any], trace: Trace, read: set[str] | None) -> bool:
    """Whether a mark on the message says that the answer is bad. Raises RejectError."""
    found = {key: judge(turn[key], f"{key} of an answer") for key, judge in trace.judges.items() if key in turn}
    for key, good in found.items():
        effect: Effect = "off" if good is False else "empty" if nothing(turn[key]) else "usual"
        trace.mark("message", key, effect, "label" if good is not None else "")
        if read is not None:
            read.add(key)
    trace.disliked = trace.disliked or False in found.values()
    return False in found.values()


def _text(turn: Mapping[str, Any], key: str, i: int, read: set[str], trace: Trace) -> str:
    read.add(key)
    trace.mark("message", key, "used")
    return check(turn[key], f"{key} of message {i}")


def _content(turn: Mapping[str, Any], key: str, message: Message, i: int, trace: Trace) -> str | None:
    """What is said: a text, or its parts joined. None: a system message without words. Raises RejectError."""
    name = f"the {key} of message {i}"
    if key not in turn and not message.calls:
        raise RejectError(f"message {i} has no {key}")
    value = turn.get(key)
    if isinstance(value, list) and value:
        value = "".join(_part(part, name, j, trace) for j, part in enumerate(value, 1))
    elif isinstance(value, dict) and value and message.role == "tool":
        value = _dumped(value, name)
    if nothing(value) and (message.calls or message.role in ("system", "developer", "tool")):
        if key in turn:
            trace.mark("message", key, "empty" if message.role != "tool" else "used")
        return "" if message.calls or message.role == "tool" else None
    trace.mark("message", key, "used")
    return answer_text(value, name, trace) if message.role == "assistant" else check(value, name)


def _part(part: Any, name: str, j: int, trace: Trace) -> str:
    """The text of one part of a content. Raises RejectError for an image, a sound..."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise RejectError(f"part {j} of {name} is {kind(part)}, not a text")
    what = part.get("type", "text")
    if what not in TEXTS or not isinstance(part.get("text"), str):
        shown = what.removesuffix("_url") if isinstance(what, str) and what not in TEXTS else "nothing that is a text"
        raise RejectError(f"{name} holds {'an ' + shown if shown[0] in 'aeiou' else shown}: only text is read")
    for key, value in part.items():
        known = {"text": "used", "type": "usual"}.get(str(key))
        trace.mark("part", str(key), known or ("empty" if nothing(value) else "unused"))  # type: ignore[arg-type]
    return str(part["text"])


def calls_of(value: Any, name: str, trace: Trace) -> str:
    """Tool calls as a JSON list in OpenAI's form, arguments as objects; from text, an object or a list of them."""
    value = _parsed(value, name)
    calls = [value] if isinstance(value, dict) else value
    if not isinstance(calls, list) or not calls:
        raise RejectError(f"{name} is {kind(value)}, not a list of calls")
    return _dumped([_call(_parsed(call, f"call {j} of {name}"), f"call {j} of {name}", trace)
                    for j, call in enumerate(calls, 1)], name)  # fmt: skip


def _call(call: Any, name: str, trace: Trace) -> dict[str, Any]:
    if not isinstance(call, dict):
        raise RejectError(f"{name} is {kind(call)}, not an object")
    if call.get("type") not in (None, "function"):
        raise RejectError(f"{name} is of type {quoted([str(call['type'])])}: only functions are called")
    inner: Any = call["function"] if isinstance(call.get("function"), dict) else call
    before = "" if inner is call else "function."
    called, given = inner.get("name"), "arguments" if "arguments" in inner else "parameters"
    if not isinstance(called, str) or not called.strip():
        raise RejectError(f"{name} names no function")
    arguments = inner.get(given)
    arguments = {} if nothing(arguments) else _parsed(arguments, f"the {given} of {name}")
    if not isinstance(arguments, dict):
        raise RejectError(f"the {given} of {name} are {kind(arguments)}, not an object")
    known: dict[str, Any] = {f"{before}name": "used", f"{before}{given}": "used" if arguments else "empty"}
    known |= {"type": "usual", "id": "used"} | ({"function": "used"} if before else {})
    for key in call_keys(call):
        trace.mark("call", key, "empty" if nothing(_at(call, key)) else known.get(key, "unused"))
    own = {"id": call["id"]} if not nothing(call.get("id")) else {}
    return {**own, "type": "function", "function": {"name": called, "arguments": arguments}}


def _at(call: Mapping[str, Any], key: str) -> Any:
    first, _, inner = key.partition(".")
    return call[first][inner] if inner and key not in call else call[key]


def tools_of(value: Any, name: str) -> str:
    """Declarations of tools as a JSON list in OpenAI's form; "" for none. Raises RejectError."""
    value = _parsed(value, name)
    tools: Sequence[Any] = [value] if isinstance(value, dict) else value
    if not isinstance(tools, list):
        raise RejectError(f"{name} is {kind(value)}, not a list of tools")
    return _dumped([_tool(_parsed(tool, name), f"tool {j} of {name}") for j, tool in enumerate(tools, 1)], name)


def _tool(tool: Any, name: str) -> dict[str, Any]:
    if not isinstance(tool, dict):
        raise RejectError(f"{name} is {kind(tool)}, not an object")
    whole: dict[str, Any] = tool if isinstance(tool.get("function"), dict) else {"type": "function", "function": tool}
    called = whole["function"].get("name")
    if not isinstance(called, str) or not called.strip():
        raise RejectError(f"{name} has no name")
    return whole


def _parsed(value: Any, name: str) -> Any:
    """A JSON text's value; what is no text stays."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise RejectError(f"{name} is a text that is not JSON") from None


def _dumped(value: Any, name: str) -> str:
    try:
        return check(json.dumps(value, ensure_ascii=False, allow_nan=False), name)
    except (TypeError, ValueError) as error:
        raise RejectError(f"{name} cannot be written as JSON: {error}") from None


def whole_chat(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages when they are a conversation to learn from. Raises RejectError."""
    if not messages or messages[-1].role != "assistant":
        last = f"the last message is the {messages[-1].role}'s" if messages else "no message says anything"
        raise RejectError(f"{last}, not the assistant's")
    if not any(message.role == "user" for message in messages):
        raise RejectError("no message is the user's")
    if not messages[-1].learned:
        raise RejectError("no answer is to be learned: each is marked to carry no loss")
    return tuple(messages)


def asked_chat(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages when they are a question: the last one is the user's. Raises RejectError."""
    if not messages or messages[-1].role not in ("user", "tool"):
        last = f"the last message before the answer is the {messages[-1].role}'s" if messages else "nothing is asked"
        raise RejectError(f"{last}, not the user's" if messages else last)
    return tuple(messages)
