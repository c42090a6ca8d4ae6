"""The rows of each stage, as files beside the runs: prompts that none learns from, and halves for who judges."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.core.records import Asked, Chat, Compared, Judged, Message, Preference, Record
from luthier.core.split import Split
from luthier.io.files import write_text

FEWEST = 10  # rows that a reward or a judge learns from
LEARN, REWARD, JUDGE, TEST = "learn.jsonl", "reward.jsonl", "judge.jsonl", "test.jsonl"


def write_parts(folder: Path, split: Split, halved: bool, numbers: bool = False) -> None:
    """Write what all stages learn from, what a reward and a judge learn from, and what is held out.

    halved: reward and judge get each a half of the prompts, so that neither has seen what the other learned from.
    numbers: some stage learns numbers, which takes pairs. Raises LuthierError where there are too few.
    """
    rows = [*split.train, *split.validation]
    if not split.test:
        raise LuthierError("no rows are held out: give more of them, or a test file")
    pairs = [row for row in rows if isinstance(row, Compared)]
    judge = [row for row in pairs if _half(row)] if halved else []
    reward = [row for row in pairs if not (halved and _half(row))]
    few = min(len(part) for part in ((reward, judge) if halved else (reward,)))
    if numbers and few < FEWEST:
        raise LuthierError(
            f"{len(pairs)} rows compare answers, {few} of them for one of reward and judge: numbers are learned from "
            f"{FEWEST} at least"
        )
    for name, part in ((LEARN, rows), (REWARD, reward), (JUDGE, judge), (TEST, split.test)):
        write_text(folder / name, "".join(json.dumps(_values(row), ensure_ascii=False) + "\n" for row in part))


def _half(row: Compared) -> bool:
    """Which half a prompt is in: the same for all rows of a prompt, whatever their order."""
    content = repr([(m.role, m.content) for m in row.messages])
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=1).digest()[0] % 2 == 1


def _values(record: Record) -> dict[str, Any]:
    """A row as training reads it."""
    if isinstance(record, Chat):
        return {"messages": _messages(record.messages)}
    if isinstance(record, Preference):
        chosen, rejected = record.answers[0], record.answers[1]
        return {"prompt": _messages(record.messages), "chosen": _said(chosen), "rejected": _said(rejected)}
    if isinstance(record, Compared):
        return {"prompt": _messages(record.messages), "answers": list(record.answers), "scores": list(record.worth)}
    if isinstance(record, Judged):
        return {"prompt": _messages(record.messages), "completion": _said(record.reply.said), "label": record.good}
    if isinstance(record, Asked):
        return {"prompt": _messages(record.messages)}
    raise LuthierError("stages learn from preferences, thumbs, conversations or prompts")


def _messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    for message in messages:
        if message.calls or message.tools or message.reasoning:
            raise LuthierError("stages learn from words only: these conversations have tools or reasoning")
    return [{"role": message.role, "content": message.content} for message in messages]


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]
