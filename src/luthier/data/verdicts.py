"""Marks that say whether an answer was found good or bad: what such columns and keys are called, and what they hold.

One place for all layouts of conversations: `judging` looks once at a file's columns and at the keys of its messages;
a conversation with a verdict becomes a `Judged`, a message that was found bad carries no loss.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from luthier.core.records import Chat, Judged, Message, Record
from luthier.data.keys import NESTED, Effect, Trace, nothing
from luthier.data.names import words
from luthier.data.rows import Fields, RejectError, Wanted
from luthier.data.source import Row, Source, kind, quoted

if TYPE_CHECKING:
    from luthier.data.layouts import Layout

_LABELS = words("label 标签 标注")  # these may name a class as well
_NAMES = _LABELS | words(
    "verdict ktotag ktolabel thumb thumbs thumbsup thumbup feedback rating score vote like liked upvote upvoted accept "
    "accepted approved good desirable helpful correct satisfied quality "
    "点赞 赞 反馈 采纳 已采纳 被采纳 评价 评判 评分 打分 得分 投票 满意 满意度 好评 有用 正确 质量"
)
_TURNED = words(  # true says that the answer is bad
    "thumbsdown thumbdown dislike disliked downvote downvoted bad wrong incorrect undesirable 点踩 踩 差评 不满意 错误"
)
_WHOSE = re.compile("^(is|user|human|用户|人工|是否)(?=.)")
_GOOD = words(
    "true 1 yes y good up thumbsup thumbup 👍 like liked upvote upvoted accept accepted approved positive pos correct "
    "right great helpful desirable satisfied ok ✅ ✓ ✔ "
    "好 好评 赞 点赞 顶 是 对 正确 满意 采纳 已采纳 有用 有帮助 正面 通过"
)
_BAD = words(
    "false 0 -1 no n bad down thumbsdown thumbdown 👎 dislike disliked downvote downvoted reject rejected negative neg "
    "incorrect wrong poor unhelpful nothelpful notgood undesirable unsatisfied ❌ ✗ ✘ "
    "坏 不好 差 差评 踩 点踩 否 不 不是 错 错误 不对 不正确 不满意 不采纳 未采纳 没用 无用 没有帮助 负面 不通过"
)
_SILENT = words("neutral none null nan n/a na unknown unrated skip skipped - 中性 一般 无 未知 未评价 未评 跳过")
_SKIN = re.compile("[\U0001f3fb-\U0001f3ff\ufe0f\u200d]")  # the colour of a thumb
REPEATS = 5  # rows of each answer, where answers are a few words again and again
_INSIDE = ("rating", "value", "score", "thumbs", "label", "type")  # of a verdict that is an object


@dataclass(frozen=True)
class Judge:
    """How one column, or one key of messages, says whether an answer was found good.

    turned: true says that it was bad. zero: whether 0 does, which it does not where -1 stands elsewhere. clicked: only
    what is true says anything, since another column says the contrary.
    """

    turned: bool = False
    zero: bool = True
    clicked: bool = False

    def __call__(self, value: Any, name: str) -> bool | None:
        """The verdict; None where there is none. Raises RejectError for what is neither; `name` says whose it is."""
        said = _said(value)
        if said in _SILENT or (said == "0" and not self.zero):
            return None
        if said not in _GOOD | _BAD:
            shown = quoted([value]) if isinstance(value, str) else kind(value)
            raise RejectError(f"{name} is {shown}, not true or false")
        if self.clicked and said in _BAD:
            return None
        return (said in _GOOD) is not self.turned


@dataclass(frozen=True)
class Judging:
    """The columns of a file that hold verdicts, and the keys of its messages that do, each with what it says."""

    columns: Mapping[str, Judge] = field(default_factory=dict)
    keys: Mapping[str, Judge] = field(default_factory=dict)

    def named(self, columns: Mapping[str, str]) -> list[str]:
        """The columns that are no `label` by their name, nor by what --map (`columns`) says."""
        return [name for name in self.columns if name != "label" and name not in columns]

    def begin(self, fields: Fields, empties: bool) -> Fields:
        """The fields, whose reader knows the keys, and whether answers may be empty."""
        fields.trace.judges, fields.trace.empties = self.keys, empties
        return fields

    def judged(self, record: Record, row: Row, trace: Trace) -> Record:
        """The record with the row's verdict; what any column finds bad is bad. Raises RejectError."""
        if not isinstance(record, Chat | Judged):
            return record
        found: list[bool] = []
        for column, judge in self.columns.items():
            if column not in row.columns:
                continue
            value = row.columns[column]
            good = judge(value, f"field {quoted([column])}")
            effect: Effect = "used" if good is not None else "empty" if nothing(value) else "usual"
            trace.mark("column", column, effect, "label")
            found += [] if good is None else [good]
        if not found or isinstance(record, Judged):  # that was found bad by all marks on its messages
            return record
        return judged(record.messages, all(found))


def judged(messages: Sequence[Message], good: bool) -> Judged:
    """A conversation whose last answer was judged."""
    *before, last = messages
    return Judged(tuple(before), last.content, good, last.name, last.reasoning, last.calls)


def judging(source: Source, wanted: Wanted, layout: Layout) -> Judging:
    """What says of a file's answers whether they are good: columns by their names and values, or by --map."""
    if layout.task != "generation" or "chosen" in layout.needs:
        return Judging()
    rows = [wanted.fields(row) for row in source.rows if not row.reason]
    columns: dict[str, Judge] = {}
    for column in source.columns:
        plain, values = _plain(column), [row.columns.get(column) for row in source.rows if not row.reason]
        if wanted.columns.get(column) == "label":
            columns[column] = _judge(plain, values) or Judge(plain in _TURNED)
            continue
        named = column not in wanted.columns and plain in _NAMES | _TURNED
        if named and (judge := _judge(plain, values)) and not (plain in _LABELS and _is_class(values, rows)):
            columns[column] = judge
    return Judging(_both_sides(columns), _both_sides(_of_messages(rows)))


def _of_messages(rows: Iterable[Fields]) -> dict[str, Judge]:
    """The keys of the assistant's messages that hold verdicts."""
    values: dict[str, list[Any]] = {}
    for turn in (turn for fields in rows for turn in _turns(fields)):
        for key in turn:
            if _plain(str(key)) in _NAMES | _TURNED:
                values.setdefault(key, []).append(turn[key])
    found = {key: _judge(_plain(key), given) for key, given in values.items()}
    return {key: judge for key, judge in found.items() if judge}


def _turns(fields: Fields) -> Iterator[Mapping[str, Any]]:
    for name in NESTED:
        value = fields.get(name)
        turns = value if isinstance(value, list) else [value]
        yield from (t for t in turns if isinstance(t, dict) and t.get("role", t.get("from")) not in ("user", "human"))


def _judge(plain: str, values: Iterable[Any]) -> Judge | None:
    """How a column with these values judges; None where it does not: ratings from 1 to 5 are no verdict."""
    said = [word for word in map(_said, values) if word not in _SILENT]
    if not said or any(_number(word) and word not in ("-1", "0", "1") for word in said):
        return None
    known = sum(word in _GOOD or word in _BAD for word in said)
    return Judge(plain in _TURNED, "-1" not in said) if 2 * known >= len(said) else None


def _both_sides(judges: dict[str, Judge]) -> dict[str, Judge]:
    """Of a button up and one down, which stand side by side, the one that was not clicked says nothing."""
    up = [name for name in judges if _plain(name) in ("thumbsup", "thumbup", "like", "liked", "upvoted", "点赞", "赞")]
    down = [name for name, judge in judges.items() if judge.turned]
    if not up or not down:
        return judges
    return {n: Judge(j.turned, j.zero, clicked=True) if n in (*up, *down) else j for n, j in judges.items()}


def _is_class(values: Sequence[Any], rows: Sequence[Fields]) -> bool:
    """Whether a `label` is the class that the answer names in words, as files made from labelled texts keep it."""
    pairs = set()
    for value, fields in zip(values, rows, strict=True):
        answer = next((fields[name] for name in ("output", "answer") if name in fields), None)
        if answer is None or (word := _said(value)) in ("true", "false"):
            return False
        pairs.add((str(answer).strip(), word))
    answers, words = {answer for answer, _ in pairs}, {word for _, word in pairs}
    return len(words) > 1 and len(pairs) == len(answers) == len(words) and len(rows) >= REPEATS * len(words)


def _plain(name: str) -> str:
    """A name without case, width, what stands between its words, and whose verdict it is."""
    bare = re.sub(r"[\s_\-./?？]+", "", unicodedata.normalize("NFKC", name).casefold())
    return bare if bare in _NAMES | _TURNED else _WHOSE.sub("", bare)


def _said(value: Any) -> str:
    """What a value says, as one word in lower case; "none" for nothing."""
    if isinstance(value, dict):
        value = next((value[key] for key in _INSIDE if key in value), None)
    if nothing(value):
        return "none"
    if isinstance(value, float) and value == int(value if abs(value) < 2**31 else 0):
        value = int(value)
    word = unicodedata.normalize("NFKC", _SKIN.sub("", str(value))).strip().strip(":").casefold().replace("−", "-")
    if re.fullmatch(r"[+-]?\d+(\.0+)?", word):
        return str(int(float(word)))
    return re.sub(r"(?<=[^\W\d])[\s_\-]+(?=[^\W\d])", "", word)


def _number(word: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d+)?", word) is not None
