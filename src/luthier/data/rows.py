"""Parts of a row, checked: texts, labels, numbers. What is wrong is said in words."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from dataclasses import field as given
from typing import Any

from luthier.data.keys import Effect, Trace, nothing
from luthier.data.source import FIELDS, Row, kind, quoted, root_of

TRUTH: Mapping[str, bool] = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_SURROGATE = re.compile("[\ud800-\udfff]")
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
HEADERS = frozenset({"label", "labels", "class", "category", "target", "intent", "sentiment", "标签", "类别"})


class Fields(dict[str, Any]):
    """A row's values by field; names: the column of each field; columns: all that it has; trace: what its keys do."""

    def __init__(self, values: Mapping[str, Any], names: Mapping[str, str], columns: Collection[str] = ()) -> None:
        super().__init__(values)
        self.names, self.columns, self.trace = names, columns, Trace()

    def used(self, field: str, effect: Effect = "used") -> None:
        """Note that a field is read, and the column that it stands in."""
        self.trace.mark("column", self.names[field], effect, field)
        if (root := root_of(self.names[field])) in self.columns:
            self.trace.mark("column", root, effect)

    def optional(self, field: str) -> Any:
        """A field's value; None where it is absent or holds nothing."""
        if field not in self:
            return None
        empty = nothing(self[field])
        self.used(field, "empty" if empty else "used")
        return None if empty else self[field]


class RejectError(Exception):
    """Why one row is bad."""


class EmptyError(RejectError):
    """Its answer holds nothing."""


@dataclass(frozen=True)
class Wanted:
    """What the caller said about the file, so that each row can be judged alone."""

    columns: Mapping[str, str]
    labels: Mapping[str, str]
    instruction: str | None
    names: frozenset[str]  # labels that pass as they are; empty: all do, unless `labels` is given
    source: str = ""  # the file's name
    aliases: Mapping[str, str] = given(default_factory=dict)  # column -> field, for usual names of fields

    def fields(self, row: Row) -> Fields:
        """The row's columns under their field names; a mapped column wins over one that has the field's name."""
        names = {field: name for name, field in self.columns.items() if name in row.columns}
        taken = {*self.columns, *self.columns.values()}
        for name in row.columns:
            if name in FIELDS and name not in taken:
                names.setdefault(name, name)
        for name, field in self.aliases.items():
            if name in row.columns and not taken & {name, field}:
                names.setdefault(field, name)
        return Fields({field: row.columns[name] for field, name in names.items()}, names, row.columns.keys())

    def call(self, field: str) -> str:
        """A field's name for a message."""
        columns = [*self.columns.items(), *self.aliases.items()]
        return next((f'"{field}" (column "{c}")' for c, f in columns if f == field), f'"{field}"')


def check(value: Any, name: str) -> str:
    """`value` when it is text that can be used; `name` says whose it is."""
    if not isinstance(value, str):
        raise RejectError(f"{name} is {kind(value)}, not text")
    if not value.strip().strip(_INVISIBLE).strip():
        raise RejectError(f"{name} is empty")
    if "\0" in value:
        raise RejectError(f"{name} holds a NUL character")
    if _SURROGATE.search(value):
        raise RejectError(f"{name} holds half a character (a lone surrogate such as \\ud83d)")
    return value


def answer_text(value: Any, name: str, trace: Trace) -> str:
    """An answer that must be text; it may hold nothing only where the trace says that all do."""
    try:
        return check(value, name)
    except RejectError as why:
        if not nothing(value):
            raise
        if not trace.empties:
            raise EmptyError(str(why)) from None
        return ""


def present(fields: Fields, field: str, wanted: Wanted) -> Any:
    """A field's value. Raises RejectError when there is none."""
    if field not in fields:
        raise RejectError(f"missing field {wanted.call(field)}")
    fields.used(field)
    return fields[field]


def text_of(fields: Fields, field: str, wanted: Wanted) -> str:
    """A field that must be text. Raises RejectError."""
    return check(present(fields, field, wanted), f"field {wanted.call(field)}")


def answer_of(fields: Fields, field: str, wanted: Wanted) -> str:
    """A field that must be text, or an object, which is answered as JSON. Raises RejectError."""
    value = present(fields, field, wanted)
    if isinstance(value, dict) and value:
        try:
            value = json.dumps(value, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise RejectError(f"field {wanted.call(field)} cannot be written as JSON: {error}") from None
    return answer_text(value, f"field {wanted.call(field)}", fields.trace)


def label_of(value: Any, name: str, wanted: Wanted, header: str = "") -> str:
    """One label's name. Raises RejectError."""
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, int):
        value = str(value)
    elif isinstance(value, float) and math.isfinite(value):  # 1.0 is how a data frame with gaps writes class 1
        value = str(value).removesuffix(".0")
    label = check(value, name).strip().strip(_INVISIBLE).strip()
    if label in wanted.labels:
        return wanted.labels[label]
    if label in wanted.names:
        return label
    if wanted.labels or wanted.names:
        known = quoted([*wanted.labels] or sorted(wanted.names))
        raise RejectError(f"label {quoted([label])} is none of {known}{header}")
    if header and label.casefold() in HEADERS:
        raise RejectError(f"label {quoted([label])} looks like a column's name{header}")
    return label


def tags_of(fields: Fields, wanted: Wanted) -> tuple[str, ...]:
    """Several labels or none: a list, or in a table's cell a JSON list or names separated by ; or |."""
    value = present(fields, "labels", wanted)
    name = f"field {wanted.call('labels')}"
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                raise RejectError(f"{name} begins as a JSON list and is none") from None
        else:
            value = [part for part in re.split(r"[;|]", value) if part.strip()]
    if not isinstance(value, list):
        raise RejectError(f"{name} is {kind(value)}, not a list of labels")
    return tuple(dict.fromkeys(label_of(each, f"label {i} of {name}", wanted) for i, each in enumerate(value, 1)))


def number_of(fields: Fields, field: str, wanted: Wanted) -> float:
    """A field that must be a finite number. Raises RejectError."""
    value, name = present(fields, field, wanted), f"field {wanted.call(field)}"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise RejectError(f"{name} is {kind(value)}, not a number")
    try:
        number = float(value if "_" not in str(value) else "a number with _ in it")
    except (ValueError, OverflowError):
        shown = quoted([value]) if isinstance(value, str) else "too large"
        raise RejectError(f"{name} is {shown}, not a number") from None
    if not math.isfinite(number):
        raise RejectError(f"{name} is {number}, not a finite number")
    return number


def verdict(value: Any) -> bool | None:
    """True or false as files write it, or None."""
    if isinstance(value, bool):
        return value
    return TRUTH.get(str(value).strip().lower()) if isinstance(value, str | int) else None
