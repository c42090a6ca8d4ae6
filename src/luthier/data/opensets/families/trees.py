"""Trees of messages whose siblings were ranked by people: OpenAssistant (OASST1).

A tree becomes one conversation along its best path, and a ranking for each question that has several ranked answers.
Rows are trees; a file of single messages (`*.messages.jsonl.gz`, the parquet files) is put together to trees first,
the messages of a tree standing one after another.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from luthier.core.phrases import Phrase, both, say
from luthier.data.opensets.spec import DroppedError, OpenSet, Part, Place, Record, column, columns, text_of

ROLES = {"prompter": "user", "assistant": "assistant"}
TALKS, RANKINGS = "conversations.jsonl", "rankings.jsonl"
Message = dict[str, str]
Path = tuple[Message, ...]


def tree(row: Any, left: Counter[Phrase]) -> Iterator[tuple[str, Record]]:
    """The best conversation of a tree and its rankings."""
    found = columns(row)
    root, lonely = found.get("prompt"), found.get("lonely")
    if not isinstance(root, dict):
        raise DroppedError(say("set_no_root"))
    if isinstance(lonely, int) and lonely > 0:
        left[say("set_lonely")] += lonely
    begin = _message(root, "prompter")
    more = {**column(root, "lang"), **column(found, "message_tree_id", "tree")}
    best = _best(root, (begin,))
    if len(best) < 2:
        raise DroppedError(say("set_no_answer"))
    yield TALKS, {"messages": list(best), **more}
    yield from ((RANKINGS, {**ranking, **more}) for ranking in _rankings(root, (begin,), left))


def _message(node: Any, role: str) -> Message:
    """The message of a node. Raises DroppedError where it cannot stand there."""
    found = columns(node)
    if found.get("deleted") is True:
        raise DroppedError(say("set_deleted"))
    if found.get("review_result") is False:
        raise DroppedError(say("set_reviewed"))
    if found.get("role") != role:
        raise DroppedError(say("set_role"))
    return {"role": ROLES[role], "content": text_of(found, "text")}


def _replies(node: dict[str, Any], role: str, left: Counter[Phrase]) -> list[tuple[dict[str, Any], Message]]:
    """The replies that can be used, the best first and those without a rank last; others are counted in `left`."""
    out: list[tuple[dict[str, Any], Message]] = []
    value = node.get("replies")
    for reply in value if isinstance(value, list) else ():
        try:
            out.append((reply, _message(reply, role)))
        except DroppedError as why:
            left[why.reason] += 1
    return sorted(out, key=lambda pair: _rank(pair[0]))


def _rank(node: dict[str, Any]) -> float:
    """0 is the best; infinity where nobody ranked it."""
    rank = node.get("rank")
    return rank if isinstance(rank, int) and not isinstance(rank, bool) and rank >= 0 else math.inf


def _best(root: dict[str, Any], begin: Path) -> Path:
    """The path of the best replies, up to its last answer."""
    node, path, roles = root, begin, ("assistant", "prompter")
    ignored: Counter[Phrase] = Counter()  # `_rankings` counts the same replies
    while replies := _replies(node, roles[0], ignored):
        node, message = replies[0]
        path, roles = (*path, message), roles[::-1]
    return path if path[-1]["role"] == "assistant" else path[:-1]


def _rankings(root: dict[str, Any], begin: Path, left: Counter[Phrase]) -> Iterator[Record]:
    """A ranking for each user's turn with two ranked answers or more, whether it lies on the best path or not."""
    todo: list[tuple[dict[str, Any], Path]] = [(root, begin)]
    while todo:
        node, path = todo.pop()
        answers = _replies(node, "assistant", left)
        if ranking := _ranking(answers, left):
            yield {"prompt": list(path), **ranking}
        for answer, message in reversed(answers):
            asked = _replies(answer, "prompter", left)
            todo += [(reply, (*path, message, question)) for reply, question in reversed(asked)]


def _ranking(answers: list[tuple[dict[str, Any], Message]], left: Counter[Phrase]) -> Record:
    """Answers with their ranks from 1, equal ones tied; empty where fewer than two were ranked."""
    if len(answers) < 2:
        return {}
    ranked: dict[str, float] = {}
    for node, message in answers:
        rank = _rank(node)
        if rank == math.inf:
            left[say("set_no_rank")] += 1
        elif message["content"] in ranked:
            left[say("set_repeated")] += 1
        else:
            ranked[message["content"]] = rank
    if len(ranked) < 2:
        return {}
    order = sorted(set(ranked.values()))
    return {"answers": list(ranked), "ranks": [1 + order.index(rank) for rank in ranked.values()]}


def trees(rows: Iterable[Any]) -> Iterator[Any]:
    """Trees as they are, and messages that stand one after another put together to their tree."""
    for key, group in groupby(rows, _tree_of):
        if key is None:
            yield from group
        else:
            yield _grown(key, group)


def _tree_of(row: Any) -> str | None:
    """The tree of a single message; None for what is none."""
    if not isinstance(row, dict) or "prompt" in row or not isinstance(row.get("message_id"), str):
        return None
    found = row.get("message_tree_id")
    return found if isinstance(found, str) else None


def _grown(key: str, messages: Iterable[dict[str, Any]]) -> Record:
    """The tree of these messages. lonely: messages that do not hang on its root, or stand there twice."""
    nodes: dict[str, dict[str, Any]] = {}
    several = 0
    for message in messages:
        several += message["message_id"] in nodes
        nodes.setdefault(message["message_id"], {**message, "replies": []})
    roots = [node for node in nodes.values() if node.get("parent_id") is None]
    for node in nodes.values():
        parent = node.get("parent_id")
        if isinstance(parent, str) and parent in nodes:
            nodes[parent]["replies"].append(node)
    reached = 0
    todo = roots[:1]
    while todo:
        reached += 1
        todo += todo.pop()["replies"]
    return {"message_tree_id": key, "prompt": roots[0] if roots else None, "lonely": len(nodes) + several - reached}


LANGUAGES = (
    *("en", "es", "ru", "de", "pl", "th", "vi", "sv", "bn", "da", "he", "it"),
    *("fa", "sk", "id", "nb", "el", "nl", "hu", "eu", "zh", "eo", "ja", "ca"),
    *("cs", "bg", "fi", "pt", "tr", "ro", "ar", "uk", "gl", "fr", "ko"),
)
SETS = (
    OpenSet(
        "oasst1",
        both(
            "Conversations with an assistant, written and ranked by volunteers in 35 languages (OpenAssistant).",
            "志愿者用 35 种语言编写并排序的助手对话（OpenAssistant）。",
        ),
        "Apache 2.0",
        (
            Part(
                "oasst1",
                Place(
                    ("2023-04-12_oasst_ready.trees.jsonl.gz",),
                    "OpenAssistant/oasst1",
                    also=("*oasst*.jsonl.gz", "*oasst*.jsonl", "train-*.parquet"),
                ),
                tree,
                {
                    TALKS: both("the best conversation of each tree", "每棵树中最好的一段对话"),
                    RANKINGS: both("answers to the same turn, ranked by people", "对同一轮提问的多个回答，由人排序"),
                },
                10_364,
                34_145_252,
                LANGUAGES,
                gather=trees,
                changed=both(
                    "Rows are trees. Each gives the conversation along its best replies (the lowest rank; without "
                    "ranks the first), up to the last answer. Answers to one turn become a ranking, ranks from 1.",
                    "一行是一棵树。沿着最好的回复（名次最小；没有名次时取第一条）直到最后一个回答，得到一段对话；"
                    "对同一轮的多个回答成为一条排序，名次从 1 起。",
                ),
            ),
        ),
    ),
)
