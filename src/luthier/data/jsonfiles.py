"""Json: one object a line (.jsonl), or one array of objects, alone or as the one list of an object (.json).

An array is read element by element, so that a broken one is dropped alone wherever the file is laid out one element
a line or indented: reading goes on at the next line that begins as the broken element's does. In an array without
line ends, what follows a broken element is lost with it, and said so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from luthier.data.source import FIELDS, Row, Source, decode, fault, kind, lines, objects, quoted
from luthier.errors import LuthierError

_SPACE = re.compile(r"[ \t\r\n]*")
_GAP = re.compile(r"[ \t\r\n]*(,|$|\])?")
# Finds where a value ends whatever stands in it: what is wrong inside is said by reading the row once more.
_EXTENT = json.JSONDecoder(strict=False, parse_int=len, parse_constant=len)


def read_lines(path: Path, mapped: tuple[str, ...]) -> Source:
    """A .jsonl file."""
    return objects(path, map(_parse, lines(decode(path))), mapped)


def read_whole(path: Path, mapped: tuple[str, ...]) -> Source:
    """A .json file: an array, an object that holds one list of objects, one row, or lines of JSON all the same."""
    text = decode(path)
    at = _skip(text, 0)
    if text[at] == "[":
        return objects(path, _elements(text, at + 1), mapped)
    if text[at] != "{":
        raise LuthierError(f"{path}: not a JSON array or object: it begins with {text[at : at + 20]!r}")
    try:
        value, end = _EXTENT.raw_decode(text, at)
    except (ValueError, RecursionError):
        value, end = {}, at
    if end > at and _skip(text, end) == len(text) and value.keys() & set(FIELDS):
        return objects(path, [_parse(Row(1 + text.count("\n", 0, at), text[at:end]))], mapped)
    if end > at and _skip(text, end) < len(text):
        return objects(path, map(_parse, lines(text)), mapped)
    found = [name for name, v in value.items() if isinstance(v, list) and v and isinstance(v[0], dict)]
    if len(found) > 1:
        raise LuthierError(f"{path} holds {len(found)} lists of rows ({quoted(found)}): keep one of them in a file")
    begin = _list_in(text, at)
    if begin is not None:
        return objects(path, _elements(text, begin + 1), mapped)
    if end == at:
        return objects(path, map(_parse, lines(text)), mapped)
    raise LuthierError(f"{path}: an object without a list of rows in it; its keys are {quoted(value)}")


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _list_in(text: str, at: int) -> int | None:
    """Where the first list of objects among the members of the object at `at` begins, if they can be read so far."""
    at += 1
    try:
        while text[at := _skip(text, at)] == '"':
            name, at = _EXTENT.raw_decode(text, at)
            at = _skip(text, at)
            if text[at] != ":" or name in FIELDS:
                return None
            at = _skip(text, at + 1)
            if text[at] == "[" and text[_skip(text, at + 1)] == "{":
                return at
            _, at = _EXTENT.raw_decode(text, at)
            at = _skip(text, at)
            if text[at] == ",":
                at += 1
    except (ValueError, IndexError, RecursionError):
        pass
    return None


def _elements(text: str, at: int) -> Iterator[Row]:
    """Rows of the array whose first element stands at `at` or behind white space there."""
    line, counted, wanted = 1, 0, True  # wanted: an element may stand here, a comma came before

    while True:
        at = _skip(text, at)
        line, counted = line + text.count("\n", counted, at), at
        if at == len(text):
            yield Row(line, "", "the file ends before its array does: it is cut off")
            return
        if text[at] == "]":
            rest = _skip(text, at + 1)
            if text[rest:].strip(" \t\r\n}") and text[rest] != ",":
                yield Row(line + text.count("\n", at, rest), text[rest:], "text after the end of the array")
            return
        reason, end = "a comma is missing before this row", at
        if wanted:
            try:
                _, end = _EXTENT.raw_decode(text, at)
                reason = ""
            except json.JSONDecodeError as error:
                reason = f"{error.msg} at line {error.lineno}, column {error.colno}"
            except (ValueError, RecursionError) as error:
                reason = str(error) or "nested too deeply"
        if reason:
            again = _next(text, at)
            hint = "" if again else "; what follows it in the file is lost with it"
            yield Row(line, text[at:again], f"not JSON: {reason}{hint}")
            if again is None:
                return
            at, wanted = again, True
            continue
        raw = text[at:end]
        yield _parse(Row(line, raw, fault(raw)))
        gap = _GAP.match(text, end)
        wanted = bool(gap and gap[1] == ",")
        at = gap.end() if gap and wanted else end


def _next(text: str, at: int) -> int | None:
    """Where the next element after a broken one at `at` begins, if lines are laid out so that it can be found."""
    start = text.rfind("\n", 0, at) + 1
    indent = text[start:at]
    if not start or indent.strip():
        return None
    found = text.find(f"\n{indent}{{", at)
    return found + 1 + len(indent) if found >= 0 else None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _parse(row: Row) -> Row:
    if row.reason:
        return row
    try:
        value: Any = json.loads(row.raw, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        return replace(row, reason=f"not JSON: {error.msg} at column {error.colno}")
    except ValueError as error:  # NaN, or an integer of thousands of digits
        return replace(row, reason=f"not JSON: {error}")
    except RecursionError:
        return replace(row, reason="not JSON that can be read: nested too deeply")
    if not isinstance(value, dict):
        return replace(row, reason=f"not a JSON object but {kind(value)}")
    return replace(row, columns=value)
