"""What people call the columns: usual names, English and Chinese, of the fields that rows are made of.

Only names that can mean one thing are here; `category`, `class`, `response` and their like are asked for.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

from luthier.data.source import FIELDS

ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("sentence", "review", "文本", "句子", "内容", "正文", "评论", "文本内容"), "text"),
    **dict.fromkeys(("标签", "类别", "分类", "标注"), "label"),
    **dict.fromkeys(("score", "分数", "评分", "得分", "数值"), "value"),
    **dict.fromkeys(("指令", "任务指令"), "instruction"),
    "输入": "input",
    "输出": "output",
    **dict.fromkeys(("问题", "提问"), "question"),
    **dict.fromkeys(("答案", "回答", "答复"), "answer"),
    **dict.fromkeys(("提示", "提示词"), "prompt"),
    "系统提示": "system",
    "历史": "history",
    "functions": "tools",
}


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set of names."""
    return frozenset(text.split())


def meaning(name: str) -> str:
    """The field that a column's name means, whatever its case, width and the spaces around it; "" for others."""
    plain = unicodedata.normalize("NFKC", name).strip().casefold()
    return plain if plain in FIELDS else ALIASES.get(plain, "")


def aliases(columns: Iterable[str], mapped: Iterable[str] = ()) -> dict[str, str]:
    """Column -> field for columns that mean a field by another name.

    Nothing where the field has a column of its own or two others, nor for a column that `mapped` names.
    """
    names = set(columns)
    found = {name: meaning(name) for name in columns if name not in FIELDS and name not in set(mapped)}
    several = Counter(found.values())
    return {name: field for name, field in found.items() if field and field not in names and several[field] == 1}
