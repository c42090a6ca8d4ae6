"""Rows whose answers people compared: pairs, rankings, ratings, answers that were edited; and prompts alone.

prompt, chosen, rejected             a pair
prompt, answers, ranks               a ranking: 1 is the best, equal numbers are a tie
prompt, answers, scores              ratings of several answers: a higher one is better
prompt, ranking                      answers, the best first
prompt, completion, value            a rating of one answer, compared with those of its prompt (`luthier.data.ranked`)
prompt, original, edited             the edited answer is the better one
prompt                               nothing but what is asked
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from luthier.core.records import Asked, Message, Preference, Ranking, Record, Scored
from luthier.data.conversation import framed
from luthier.data.keys import Trace
from luthier.data.questions import listed, prompt_of
from luthier.data.rows import Fields, RejectError, Wanted, check, number_of, present
from luthier.data.source import kind
from luthier.data.transcripts import is_transcript, turns_of
from luthier.data.turns import asked_chat, messages_of

MOST = 64  # answers to one prompt: more is a mistake far more often than a ranking


def preference(fields: Fields, wanted: Wanted, first: bool) -> Record:
    """A pair."""
    whole = not {"prompt", "conversations", "messages"} & fields.keys()
    (before, chosen), (other, rejected) = (
        turns_of(value, name) if whole and is_transcript(value) else _split(value, name, fields.trace)
        for value, name in (
            (present(fields, field, wanted), f"field {wanted.call(field)}") for field in ("chosen", "rejected")
        )
    )
    if before != other:
        raise RejectError("chosen and rejected differ before their last message")
    asked = framed(asked_chat(before), fields, wanted) if before else prompt_of(fields, wanted)
    return _pair(asked, chosen, rejected, ("chosen", "rejected"))


def _pair(asked: tuple[Message, ...], better: str, worse: str, names: tuple[str, str]) -> Preference:
    if better.strip() == worse.strip():
        raise RejectError(f"{' and '.join(names)} are the same answer")
    return Preference(asked, better, worse)


def edited(fields: Fields, wanted: Wanted, first: bool) -> Record:
    """An answer and what somebody made of it."""
    names = "edited", "original"
    better, worse = (_answer(present(fields, name, wanted), f"field {wanted.call(name)}", fields) for name in names)
    return _pair(prompt_of(fields, wanted), better, worse, names)


def scored(fields: Fields, wanted: Wanted, first: bool) -> Record:
    """One answer with a number."""
    answer = _answer(present(fields, "completion", wanted), f"field {wanted.call('completion')}", fields)
    return Scored(prompt_of(fields, wanted), answer, number_of(fields, "value", wanted))


def ranked(fields: Fields, wanted: Wanted, first: bool) -> Record:
    """Answers with a rank each, 1 for the best."""
    texts, numbers = _texts("answers", fields, wanted), _numbers("ranks", fields, wanted)
    return _ranking(texts, [-number for number in numbers], "ranks", fields, wanted)


def rated(fields: Fields, wanted: Wanted, first: bool) -> Record:
    """Answers with a score each, a higher one for a better one."""
    texts, numbers = _texts("answers", fields, wanted), _numbers("scores", fields, wanted)
    return _ranking(texts, numbers, "scores", fields, wanted)


def in_order(fields: Fields, wanted: Wanted, first: bool) -> Record:
    """Answers, the best first."""
    texts = _texts("ranking", fields, wanted)
    return _ranking(texts, [-float(at) for at in range(len(texts))], "ranking", fields, wanted)


def prompt_alone(fields: Fields, wanted: Wanted, first: bool) -> Record:
    """What is asked, and no answer."""
    return Asked(prompt_of(fields, wanted))


def _ranking(texts: list[str], numbers: list[float], name: str, fields: Fields, wanted: Wanted) -> Ranking:
    if len(texts) != len(numbers):
        raise RejectError(f"there are {len(texts)} answers and {len(numbers)} {name}")
    seen: dict[str, int] = {}
    for at, text in enumerate(texts, 1):
        if (other := seen.setdefault(text.strip(), at)) != at:
            raise RejectError(f"answers {other} and {at} are the same")
    return Ranking(prompt_of(fields, wanted), tuple(texts), tuple(numbers))


def _several(field: str, fields: Fields, wanted: Wanted) -> list[Any]:
    value, name = present(fields, field, wanted), f"field {wanted.call(field)}"
    if not isinstance(value, list):
        raise RejectError(f"{name} is {kind(value)}, not a list")
    if not 2 <= len(value) <= MOST:
        raise RejectError(f"{name} holds {len(value)}, where two to {MOST} are compared")
    return value


def _texts(field: str, fields: Fields, wanted: Wanted) -> list[str]:
    found = _several(field, fields, wanted)
    return [_answer(value, f"answer {at} of field {wanted.call(field)}", fields) for at, value in enumerate(found, 1)]


def _answer(value: Any, name: str, fields: Fields) -> str:
    """An answer, as a text or as a message."""
    before, answer = _split(value, name, fields.trace)
    if before:
        raise RejectError(f"{name} is a conversation, not an answer")
    return answer


def _numbers(field: str, fields: Fields, wanted: Wanted) -> list[float]:
    found: Sequence[Any] = _several(field, fields, wanted)
    for at, value in enumerate(found, 1):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or abs(value) > 1e300 or not math.isfinite(value):
            raise RejectError(f"number {at} of field {wanted.call(field)} is {kind(value)}, not a finite number")
    return [float(value) for value in found]


def _split(value: Any, name: str, trace: Trace) -> tuple[tuple[Message, ...], str]:
    """What stands before an answer, and the answer: a text, a message, or a conversation that ends with it."""
    if isinstance(value, str):
        return (), check(value, name)
    turns = listed(value)
    if not isinstance(turns, list) or not turns:
        return messages_of(turns, name, trace), ""  # says what is wrong with it
    before = messages_of(turns[:-1], name, trace) if turns[:-1] else ()
    own = Trace()
    (*_, last) = messages_of(turns[-1:], name, own) or (Message("system", ""),)
    if last.role != "assistant":
        raise RejectError(f"{name} ends with the {last.role}'s message, not the assistant's")
    if last.calls or last.reasoning:
        raise RejectError(
            f"{name} ends with {'calls of tools' if last.calls else 'reasoning'}: a judged answer is text"
        )
    for (level, key), effects in own.marks.items():  # all but the words of the answer is left out
        kept = level != "message" or key in ("role", "from", "content", "value")
        for effect in effects:
            trace.mark(level, key, effect if kept or effect == "empty" else "unused")
    return before, last.content
