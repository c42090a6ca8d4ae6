"""Places of a template that stand in rows: filled where the user says with what, found where nobody did.

`--fill name=Ada` fills `{{name}}`. What stays is told, and with care: in LaTeX, code and JSON braces are no blanks, so
that code is left out, and `{name}`, `[[name]]` and `<NAME>` count only for usual names in many rows.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from luthier.core.errors import LuthierError
from luthier.core.records import Asked, Chat, Compared, Judged, Record, Scored
from luthier.data.names import words
from luthier.data.source import Source

FEWEST, SHARE = 3, 0.1  # rows with the same name in one brace, or in brackets, that make it a blank
_ANY = re.compile(r"\{\{\s*([^{}\n|]{1,60}?)\s*\}\}")
_SURE = re.compile(r"\{\{\s*([^\W\d][\w .\-]{1,40}?)\s*\}\}(?![}^_])")
_LIKELY = re.compile(
    r"\{(?P<brace>[^\W\d]\w{1,30})\}(?![\w}^/])|\[\[(?P<square>[^\W\d][\w ]{1,30})\]\]|<(?P<angle>[A-Z][A-Z_]{2,30})>"
)
_MATHS = re.compile(r"(\\[A-Za-z]+\*?|[\\^_}${/])$")  # before a brace: LaTeX, a shell's ${, a path
_FENCED = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_CODE = re.compile(
    r"\{%|\{\{[#/>!]|</\w|\bdef \w+\(|;\s*$|=>|\bf[\"']|\.format\(|\bprint\(|\bconsole\.|\w\s*=\s*[\"'{\[]|\\begin\{"
    r"|jinja|handlebars|mustache|\bvue\b|angular|helm|ansible|template|placeholder|模板|占位符",
    re.IGNORECASE | re.MULTILINE,
)
_USUAL = words(
    "name first_name last_name full_name user username user_name customer customer_name client client_name company "
    "company_name product product_name city country date day email phone order_id order_number topic question query "
    "context content document instruction answer response language system_prompt "
    "姓名 名字 用户 用户名 用户姓名 客户 客户名 客户姓名 公司 公司名称 产品 产品名称 城市 地址 日期 时间 邮箱 电话 "
    "订单号 主题 标题 问题 内容 语言"
)
_USUAL_IN_BRACES = _USUAL | words("address time title text input output")  # in angles they are HTML


@dataclass(frozen=True)
class Blanks:
    """Blanks that nobody filled. names: as they are written, with their rows, the commonest first.

    rows: that have any; asked, answers: in what is asked, in answers. fillable: the names that --fill fills.
    """

    names: tuple[tuple[str, int], ...]
    rows: int
    asked: int
    answers: int
    fillable: tuple[str, ...]


def fill_in(source: Source, values: Mapping[str, str]) -> tuple[Source, frozenset[str]]:
    """The rows with the values in their places, and the names of all places that stood there."""
    if not values:
        return source, frozenset()
    found: set[str] = set()

    def put(match: re.Match[str]) -> str:
        found.add(match[1])
        return values.get(match[1], match[0])

    rows = tuple(replace(row, columns=_each(row.columns, lambda text: _ANY.sub(put, text))) for row in source.rows)
    return replace(source, rows=rows), frozenset(found)


def _each(value: Any, change: Callable[[str], str]) -> Any:
    """A value with every text in it changed; keys stay."""
    if isinstance(value, str):
        return change(value) if "{{" in value else value
    if isinstance(value, list):
        return [_each(inner, change) for inner in value]
    return {key: _each(inner, change) for key, inner in value.items()} if isinstance(value, dict) else value


def check_filled(values: Mapping[str, str], places: Iterable[str]) -> None:
    """Raise LuthierError for a name that stands nowhere. places: the names in all files."""
    names = sorted({*places})
    for name in values:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            shown = ", ".join(f"{{{{{each}}}}}" for each in names[:12]) or "none at all"
            hint = f"; did you mean {near[0]}?" if near else ""
            said = f"--fill {name}={values[name]}: no text has {{{{{name}}}}}"
            raise LuthierError(f"{said}; those found: {shown}{hint}")


def find(records: Sequence[Record]) -> Blanks | None:
    """The blanks in the texts of records that nobody filled, or None."""
    texts = [_texts(record) for record in records]
    likely = Counter(name for pair in texts for name in {n for side in pair for text in side for n in _likely(text)})
    enough = {name for name, rows in likely.items() if rows >= max(FEWEST, SHARE * len(records))}
    names: Counter[str] = Counter()
    fillable: dict[str, None] = {}
    rows = asked = answers = 0
    for pair in texts:
        sides = []
        for side in pair:
            sure = [name for text in side for name in _sure(text)]
            fillable |= dict.fromkeys(sure)
            more = enough.intersection(name for text in side for name in _likely(text))
            sides.append({*(f"{{{{{name}}}}}" for name in sure), *more})
        names.update(sides[0] | sides[1])
        asked, answers, rows = asked + bool(sides[0]), answers + bool(sides[1]), rows + any(sides)
    return Blanks(tuple(names.most_common()), rows, asked, answers, tuple(fillable)) if rows else None


def _texts(record: Record) -> tuple[list[str], list[str]]:
    """What is asked, and what is answered."""
    if isinstance(record, Chat):
        spoken = record.messages
        answers = [m.content for m in spoken if m.role == "assistant"]
        return [m.content for m in spoken if m.role != "assistant"], answers
    if isinstance(record, Judged | Compared | Scored | Asked):
        return [message.content for message in record.messages], [record.wanted]
    return ([record.asked], []) if isinstance(record.asked, str) else ([], [])


def _prose(text: str) -> str:
    """The text without what is code; nothing where all of it may be, or where templates are its subject."""
    bare = _FENCED.sub(" ", text)
    return "" if _CODE.search(bare) else bare


def _sure(text: str) -> list[str]:
    if "{{" not in text:
        return []
    bare = _prose(text)
    return [
        match[1]
        for match in _SURE.finditer(bare)
        if not _MATHS.search(bare[max(match.start() - 40, 0) : match.start()])
    ]


def _likely(text: str) -> list[str]:
    """Blanks of other kinds, as they are written."""
    if not any(sign in text for sign in "{[<"):
        return []
    bare, found = _prose(text), []
    for match in _LIKELY.finditer(bare):
        name = match["brace"] or match["square"] or match["angle"]
        usual = name.casefold().replace(" ", "_") in (_USUAL if match["angle"] else _USUAL_IN_BRACES)
        before = bare[max(match.start() - 40, 0) : match.start()]
        if usual and not _MATHS.search(before):
            found.append(match[0])
    return found
