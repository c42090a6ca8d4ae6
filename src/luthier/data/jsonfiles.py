"""Json: one object a line (.jsonl), or one array of objects, alone or as the one list of an object (.json).

Objects that stand over several lines, or several on one, are read one after another. An array is read element by
element, so that a broken one is dropped alone wherever the file is laid out one element a line or indented: reading
goes on at the next line that begins as the broken element's does. In an array without line ends, what follows a broken
element is lost with it, and said so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.data.jsonvalues import end_of, value_of
from luthier.data.source import FIELDS, Row, Source, Text, decode, kind, lines, objects, quoted

COMMENTS, ARRAY, STREAM = "said_file_comments", "said_file_array", "said_file_stream"  # the notes of these
_SPACE = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|#[^\n]*|/\*.*?\*/)*", re.DOTALL)  # and comments
_GAP = re.compile(r"[ \t\r\n]*(,|$|\])?")
# Finds where a value ends whatever stands in it: what is wrong inside is said by reading the row once more.
_EXTENT = json.JSONDecoder(strict=False, parse_int=len, parse_constant=len)


def read_lines(path: Path, mapped: tuple[str, ...], encoding: str = "") -> Source:
    """A .jsonl file."""
    return _by_line(path, decode(path, encoding), mapped)


def read_whole(path: Path, mapped: tuple[str, ...], encoding: str = "") -> Source:
    """A .json file: an array, an object that holds one list of objects, one row, or lines of JSON all the same."""
    found = decode(path, encoding)
    text, reader = found.text, _Reader(found)
    at = reader.skip(0)
    if text[at : at + 1] == "[":
        return reader.source(path, list(reader.elements(at + 1)), mapped)
    if text[at : at + 1] != "{":
        raise LuthierError(f"{path}: not a JSON array or object: it begins with {text[at : at + 20]!r}")
    try:
        value, end = _EXTENT.raw_decode(text, at)
    except (ValueError, RecursionError):
        value, end = {}, at
    if end > at and reader.skip(end) == len(text) and value.keys() & set(FIELDS):
        row = Row(1 + text.count("\n", 0, at), text[at:end])
        return reader.source(path, [reader.parse(row)], mapped)
    if end > at and reader.skip(end) < len(text):
        return _by_line(path, found, mapped)
    names = [name for name, v in value.items() if isinstance(v, list) and v and isinstance(v[0], dict)]
    if len(names) > 1:
        raise LuthierError(f"{path} holds {len(names)} lists of rows ({quoted(names)}): keep one of them in a file")
    begin = reader.list_in(at)
    if begin is not None:
        return reader.source(path, list(reader.elements(begin + 1)), mapped)
    if end == at:
        return _by_line(path, found, mapped)
    raise LuthierError(f"{path}: an object without a list of rows in it; its keys are {quoted(value)}")


def _by_line(path: Path, found: Text, mapped: tuple[str, ...]) -> Source:
    """One row a line, or, where that reads more of the file, an array or one object after another."""
    reader = _Reader(found)
    rows = [reader.parse(row) for row in lines(found) if not reader.comment(row)]
    if any(row.reason for row in rows):
        other = _Reader(found)
        at = other.array_of_objects()
        values = list(other.elements(at or 0, array=at is not None))
        (good, lost), (more, less) = _worth(rows), _worth(values)
        if more > good and less < lost:
            other.said[STREAM if at is None else ARRAY] = 0
            reader, rows = other, values
    return reader.source(path, rows, mapped)


def _worth(rows: list[Row]) -> tuple[int, int]:
    """How many rows are good, and how many lines the others lie on."""
    lost = [row.raw.strip().count("\n") + 1 for row in rows if row.reason]
    return len(rows) - len(lost), sum(lost)


@dataclass
class _Reader:
    """Reads the rows of one text. said: the keys of what is to be told, with the number of rows (0: of the whole)."""

    found: Text
    said: dict[str, int] = field(default_factory=dict)

    def source(self, path: Path, rows: list[Row], mapped: tuple[str, ...]) -> Source:
        """The rows with what is to be said of them."""
        told = tuple(say(key, count=count) if count else say(key) for key, count in self.said.items())
        return objects(path, rows, mapped, notes=(*self.found.notes, *told))

    def comment(self, row: Row) -> bool:
        """Whether a line is a comment, which is left out."""
        is_one = row.raw.lstrip().startswith(("//", "#"))
        self.said |= {COMMENTS: 0} if is_one else {}
        return is_one

    def skip(self, at: int) -> int:
        """Where the next value begins: white space and comments are passed."""
        found = _SPACE.match(self.found.text, at)
        if found and found[0].strip(" \t\r\n"):
            self.said[COMMENTS] = 0
        return found.end() if found else at

    def array_of_objects(self) -> int | None:
        """Where the first element stands if the text begins as an array of objects."""
        at = self.skip(0)
        first = self.skip(at + 1)
        return first if self.found.text[at : at + 1] == "[" and self.found.text[first : first + 1] == "{" else None

    def list_in(self, at: int) -> int | None:
        """Where the first list of objects among the members of the object at `at` begins, as far as they are read."""
        text = self.found.text
        try:
            at = self.skip(at + 1)
            while text[at] == '"':
                _, at = _EXTENT.raw_decode(text, at)
                at = self.skip(at)
                if text[at] != ":":
                    return None
                at = self.skip(at + 1)
                if text[at] == "[" and text[self.skip(at + 1)] == "{":
                    return at
                _, at = _EXTENT.raw_decode(text, at)
                at = self.skip(at)
                if text[at] == ",":
                    at = self.skip(at + 1)
        except (ValueError, IndexError, RecursionError):
            pass
        return None

    def elements(self, at: int, array: bool = True) -> Iterator[Row]:
        """Rows of the array whose first element stands at `at` or behind white space there.

        array False: objects up to the end of the text, with or without commas between them.
        """
        text, line, counted, wanted = self.found.text, 1, 0, True  # wanted: a comma came before
        while True:
            at = self.skip(at)
            line, counted = line + text.count("\n", counted, at), at
            if at == len(text):
                if array:
                    yield Row(line, "", "the file ends before its array does: it is cut off")
                return
            if array and text[at] == "]":
                rest = self.skip(at + 1)
                if text[rest:].strip(" \t\r\n}") and text[rest] != ",":
                    yield Row(line + text.count("\n", at, rest), text[rest:], "text after the end of the array")
                return
            reason, end = "a comma is missing before this row", at
            if wanted or not array:
                end, reason = self.extent(at, array)
            if reason:
                again = _next(text, at, array)
                hint = "" if again else "; what follows it in the file is lost with it"
                yield Row(line, text[at:again], f"not JSON: {reason}{hint}")
                if again is None:
                    return
                at, wanted = again, True
                continue
            raw = text[at:end]
            yield self.parse(Row(line, raw, self.found.fault(raw)))
            gap = _GAP.match(text, end)
            wanted = bool(gap and gap[1] == ",")
            at = gap.end() if gap and wanted else end

    def extent(self, at: int, array: bool) -> tuple[int, str]:
        """Where the value at `at` ends, or why that cannot be told."""
        text = self.found.text
        try:
            return _EXTENT.raw_decode(text, at)[1], ""
        except json.JSONDecodeError as error:
            reason = f"{error.msg} at line {error.lineno}, column {error.colno}"
        except (ValueError, RecursionError) as error:
            reason = str(error) or "nested too deeply"
        end = end_of(text, at, _next(text, at, array) or len(text))
        try:
            if end is not None and value_of(text[at:end]):
                return end, ""
        except (ValueError, RecursionError):
            pass
        return at, reason

    def parse(self, row: Row) -> Row:
        """The row with its columns, or why there are none."""
        if row.reason:
            return row
        try:
            value, how = value_of(row.raw)
        except json.JSONDecodeError as error:
            return replace(row, reason=f"not JSON: {error.msg} at column {error.colno}")
        except ValueError as error:  # NaN, or an integer of thousands of digits
            return replace(row, reason=f"not JSON: {error}")
        except RecursionError:
            return replace(row, reason="not JSON that can be read: nested too deeply")
        if not isinstance(value, dict):
            return replace(row, reason=f"not a JSON object but {kind(value)}")
        if how:
            self.said[how] = self.said.get(how, 0) + 1
        return replace(row, columns=value)


def _next(text: str, at: int, array: bool) -> int | None:
    """Where the next element after a broken one at `at` begins, if lines are laid out so that it can be found."""
    start = text.rfind("\n", 0, at) + 1
    indent = text[start:at] if array else ""
    if array and (not start or indent.strip()):
        return None
    found = text.find(f"\n{indent}{{", at)
    return found + 1 + len(indent) if found >= 0 else None
