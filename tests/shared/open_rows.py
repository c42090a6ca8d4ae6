"""Rows in the layouts of open data sets, written for the tests: English and Chinese, whole and broken."""

from __future__ import annotations

from typing import Any

DOLLY = [
    {"instruction": "Name a bird.", "context": "", "response": "A wren.", "category": "open_qa"},
    {"instruction": "Where is the mill?", "context": "The mill is by the weir.", "response": "By the weir.",
     "category": "closed_qa"},
]  # fmt: skip
ALPACA = [
    {"instruction": "Add the numbers.", "input": "2 and 3", "output": "5", "text": "Below is … 5"},
    {"instruction": "说出一种水果。", "input": "<noinput>", "output": "梨。", "text": ""},
]
TEACHER = [{"instruction": "Be a baker.", "input": "Which bread?", "response": "Rye, as ever."}]
ALL = [{"prompt": "Why is rain wet?", "response": "Because it is water.", "source": "made_up"}]
PAJAMA: list[dict[str, Any]] = [
    {"text": "A weir holds the water back.", "meta": {"url": "http://a.example/weir", "language": "en"}},
    {"text": "Jez zadržuje vodu.", "meta": '{"url": "http://a.example/jez", "language": "cs"}'},
    {"text": "Ein Wehr staut Wasser.", "meta": "{'url': 'http://a.example/wehr', 'language': 'de'}"},
    {"text": "No word of where from.", "source": "cc/2019-30/head", "pred_label": "__label__wiki"},
]
WRAPPED = (
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
    "response that appropriately completes the request.\n\n### Instruction:\n{}\n\n### Input:\n{}\n\n### Response:"
)
RATED: list[dict[str, Any]] = [
    {
        "user_input": WRAPPED.format("Sort them.", "pear, apple"),
        "responses_and_scores": [
            {"response": "apple, pear", "source": "gpt4", "score": 9.0},
            {"response": "pear, apple", "source": "text-davinci-003", "score": "4"},
            {"response": "", "source": "icm-1.3b", "score": 1.0},
        ],
    },
    {
        "user_input": "太阳从哪边升起？",
        "responses_and_scores": [
            {"response": "东边。", "source": "gpt4", "score": 10},
            {"response": "西边。", "source": "icm-1.3b", "score": 1},
        ],
    },
]


def node(id: str, role: str, text: Any, *replies: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A message of a tree."""
    return {"message_id": id, "role": role, "text": text, "lang": "en", "deleted": False, "review_result": True,
            "rank": None, "replies": list(replies), **more}  # fmt: skip


def tree(root: Any, id: str = "t1", **more: Any) -> dict[str, Any]:
    """A tree as it stands on a line of a file."""
    return {"message_tree_id": id, "tree_state": "ready_for_export", "prompt": root, **more}


def weir() -> dict[str, Any]:
    """A tree whose best answer stands second, with a follow-up below the best and below the worst."""
    return tree(
        node("q", "prompter", "What is a weir?",
             node("a1", "assistant", "A small bird.",
                  node("q3", "prompter", "Really?", node("a5", "assistant", "No.", rank=0),
                       node("a6", "assistant", "Yes.", rank=0)), rank=2),
             node("a2", "assistant", "A low dam.",
                  node("q2", "prompter", "Who builds it?", node("a4", "assistant", "Millers did."))
                  , rank=0),
             node("a3", "assistant", "A wall in a river.", rank=1))
    )  # fmt: skip


def chinese() -> dict[str, Any]:
    """A tree in Chinese with one answer."""
    return tree(node("q", "prompter", "堰是什么？", node("a", "assistant", "低矮的坝。", lang="zh"), lang="zh"), "t2")


def flat(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a tree as the flat files have them."""
    out: list[dict[str, Any]] = []
    todo: list[tuple[dict[str, Any], str | None]] = [(found["prompt"], None)]
    while todo:
        each, parent = todo.pop(0)
        own = {key: value for key, value in each.items() if key != "replies"}
        out.append({**own, "parent_id": parent, "message_tree_id": found["message_tree_id"]})
        todo = [(reply, each["message_id"]) for reply in each["replies"]] + todo
    return out
