"""What the columns of a file look like by their content, and the mapping that fits it.

A few short values again and again are a label, long and different ones a text, many different numbers a value, two
columns of texts a question and its answer. Names decide only between columns that look alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from luthier.data.languages import language_name
from luthier.data.source import Source, quoted

Kind = Literal["conversation", "whole", "number", "text", "other"]
ROWS = 20_000  # so many are looked at
FEW = 4  # values, below which nothing can be told from how often each stands there
SHORT = 40  # width of a label at most: letters, a Chinese character counts twice
MOST_LABELS = 1000
MOST_NUMBERS = 20  # different whole numbers that may still be labels

_NAMES: Mapping[str, str] = {  # words of names by what they say of a column
    "label": "label class category intent sentiment topic target tag stars star rating polarity emotion gold genre "
    "标签 类别 分类 标注 情感 情绪 意图 主题 类型 星级",
    "answer": "answer response reply output completion summary translation highlights solution target "
    "答案 回答 答复 回复 输出 摘要 译文 翻译 结果",
    "question": "question query prompt q 问题 提问 提示 问",
    "instruction": "instruction instructions 指令",
    "text": "text sentence review comment content body message utterance description input document article source "
    "文本 句子 内容 正文 评论 评价 描述 消息 输入 原文",
    "number": "id idx index no nr uid url link date time timestamp created 编号 序号 日期 时间 链接",
    "summary": "summary highlights 摘要",
}


@dataclass(frozen=True)
class Look:
    """One column: values that say something, how many differ, their median width, and what they are."""

    name: str
    rows: int
    distinct: int
    width: float
    kind: Kind
    running: bool = False  # whole numbers that count the rows

    def named(self, role: str) -> bool:
        """Whether its name is one of those of a role."""
        name = unicodedata.normalize("NFKC", self.name).casefold()
        words = re.split(r"[\W\d_]+", name)
        return any(word in words or (not word.isascii() and word in name) for word in _NAMES[role].split())

    @property
    def repeated(self) -> bool:
        """Whether few values stand there again and again."""
        return 1 < self.distinct <= min(MOST_LABELS, self.rows / 2) and self.rows >= FEW

    @property
    def labels(self) -> bool:
        """Whether its values are labels, as far as enough rows can tell."""
        if self.kind == "whole":
            return self.repeated and self.distinct <= MOST_NUMBERS
        return self.kind == "text" and self.repeated and self.width <= SHORT


@dataclass(frozen=True)
class Fit:
    """A mapping that fits a file. why: what its columns look like. headless: the first row is data, too."""

    columns: Mapping[str, str]
    instruction: str | None = None
    why: str = ""
    headless: bool = False


def fit(source: Source, asking: bool = False) -> Fit | None:
    """The mapping that fits what stands in a file, or None where nothing does.

    asking: only what is asked is wanted: the file is to be predicted on.
    """
    headless = source.headed and not source.structured and _is_data(source)
    found = looks(source, headless)
    chosen = _asked(found) if asking else _chosen(found)
    if chosen is None:
        return None
    columns, instruction = chosen
    why = "" if headless else _said([look for look in found if look.name in columns])
    return Fit(columns, instruction, why, headless)


def _said(found: Sequence[Look]) -> str:
    """What columns look like, in words."""
    parts = [f"{quoted([each.name])} has {each.distinct} different values in {each.rows:,} rows"
             for each in found if each.labels]  # fmt: skip
    whats: tuple[tuple[str, Sequence[Kind]], ...] = (
        ("texts", ("text",)), ("numbers", ("whole", "number")), ("messages", ("conversation",))
    )  # fmt: skip
    for what, kinds in whats:
        names = [quoted([each.name]) for each in found if each.kind in kinds and not each.labels]
        if names:
            parts.append(f"{' and '.join(names)} {'holds' if len(names) == 1 else 'hold'} {what}")
    return ", ".join(parts)


def looks(source: Source, headless: bool = False) -> list[Look]:
    """The columns that hold anything. headless: by number, the names being a row as well."""
    rows = [row.columns for row in source.rows[:ROWS] if not row.reason]
    out = []
    for i, name in enumerate(source.columns):
        values = [name, *(row.get(name) for row in rows)] if headless else [row.get(name) for row in rows]
        if look := _look(str(i) if headless else name, values):
            out.append(look)
    return out


def _look(name: str, values: Iterable[Any]) -> Look | None:
    said = [v for v in values if v is not None and v not in ([], {}) and not (isinstance(v, str) and not v.strip())]
    if not said:
        return None
    if all(isinstance(v, list) and isinstance(v[0], dict) for v in said):
        return Look(name, len(said), len(said), 0, "conversation")
    if any(isinstance(v, list | dict) for v in said):
        return Look(name, len(said), len(said), 0, "other")
    texts = [str(v).strip() for v in said]
    numbers = [n for n in map(_number, texts) if n is not None]
    kind: Kind = "text"
    if len(numbers) >= 0.95 * len(texts):
        kind = "whole" if all(n == int(n) for n in numbers) else "number"
    running = kind == "whole" and FEW <= len(set(numbers)) == len(texts) == max(numbers) - min(numbers) + 1
    return Look(name, len(texts), len(set(texts)), median(map(width, texts)), kind, running)


def _number(text: str) -> float | None:
    try:
        value = float(text) if "_" not in text else float("nan")
    except (ValueError, OverflowError):
        return None
    return value if abs(value) < 1e300 else None


def width(text: str) -> int:
    """Letters of a text; a Chinese character says as much as two."""
    return len(text) + sum(char > "\u2e7f" for char in text)


def _is_data(source: Source) -> bool:
    """Whether what was taken for the header of a table is a row like the others."""
    rows = [row for row in source.rows[:ROWS] if not row.reason]
    for i, name in enumerate(source.columns):
        if (_number(name) is not None and name != str(i)) or width(name) > SHORT:
            return True
        if len(name.split()) > 2 and name[-1:] in ".!?。！？":
            return True
        look = _look(name, [row.columns.get(name) for row in rows])
        if look and look.labels and any(row.columns.get(name) == name for row in rows):
            return True
    return False


Chosen = tuple[dict[str, str], str | None]


def _chosen(found: Sequence[Look]) -> Chosen | None:
    """Columns and their fields, and an instruction where one is needed."""
    if talk := next((look for look in found if look.kind == "conversation"), None):
        return {talk.name: "messages"}, None
    useful = [look for look in found if look.kind != "other" and not look.running and not look.named("number")]
    labels = [look for look in useful if _may_label(look, useful)]
    texts = [look for look in useful if look.kind == "text" and look not in labels]
    values = [look for look in useful if look.kind in ("whole", "number") and look not in labels]
    answers = [look for look in texts if look.named("answer")]
    if len(texts) > 1 and (answers or not (labels or values)):
        return _pair(texts, answers)
    if texts and labels:
        return {_best(texts, "text").name: "text", _likeliest(labels).name: "label"}, None
    if texts and values:
        return {_best(texts, "text").name: "text", values[0].name: "value"}, None
    if texts:
        return {texts[0].name: "text"}, None
    words = [look for look in labels if look.kind == "text"]
    if words and len(labels) > 1:  # short texts that come again, such as words
        text = max(words, key=lambda look: (not look.named("label"), look.distinct))
        return {text.name: "text", _likeliest([look for look in labels if look is not text]).name: "label"}, None
    return None


def _may_label(look: Look, others: Sequence[Look]) -> bool:
    """Whether it may be a label; of a few rows by its name, or where a text beside it is much longer."""
    if look.rows >= FEW:
        return look.labels
    if look.kind == "number" or look.width > SHORT / 2:
        return False
    longest = max(other.width for other in others)
    return look.kind == "whole" or (look.named("label") and len(others) > 1) or 2 * look.width <= longest


def _likeliest(labels: Sequence[Look]) -> Look:
    return min(labels, key=lambda look: (not look.named("label"), look.distinct))


def _best(texts: Sequence[Look], role: str) -> Look:
    """The text that a role's name calls, the longest of several."""
    return max(texts, key=lambda look: (look.named(role), look.width))


def _pair(texts: Sequence[Look], answers: Sequence[Look]) -> Chosen:
    """What is asked and what is answered: by names, else the first and the second column."""
    answer = _best(answers, "answer") if answers else texts[1]
    rest = [look for look in texts if look is not answer]
    if told := next((look for look in rest if look.named("instruction")), None):
        more = [look for look in rest if look is not told]
        given = {_best(more, "text").name: "input"} if more else {}
        return {told.name: "instruction", **given, answer.name: "output"}, None
    if answers and (question := next((look for look in rest if look.named("question")), None)):
        return {question.name: "question", answer.name: "answer"}, None
    asked = _best(rest, "text") if answers else texts[0]
    said = instruction_for(asked.name, answer.name) or ("Summarize the text." if answer.named("summary") else "")
    return {asked.name: "input", answer.name: "output"}, said


def instruction_for(asked: str, answer: str) -> str:
    """What to do with an input, where the names of the columns are languages; else nothing."""
    one, other = language_name(asked), language_name(answer)
    return f"Translate from {one} to {other}." if one and other else ""


def _asked(found: Sequence[Look]) -> Chosen | None:
    if talk := next((look for look in found if look.kind == "conversation"), None):
        return {talk.name: "messages"}, None
    texts = [look for look in found if look.kind == "text" and not look.named("number") and not look.named("answer")]
    return ({_best(texts, "text").name: "text"}, None) if texts else None
