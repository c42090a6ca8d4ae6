"""What every reader of files gives: rows with the line each starts on, its columns, or why it cannot be read.

Bytes are decoded with `surrogateescape` and only a line feed ends a line, so one broken byte spoils one row and
the line numbers are those of the user's editor, whatever else (U+2028, form feeds, NUL) stands in a text.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from luthier.errors import LuthierError

FIELDS = (
    *("text", "label", "labels", "value", "instruction", "input", "output", "messages", "conversations"),
    *("prompt", "completion", "chosen", "rejected", "question", "answer", "answers"),
    *("system", "history", "context", "tools"),
)
MAX_BYTES = 10 * 2**20  # a longer row is a mistake (a missing line end, a pasted file) far more often than a text
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_UNDECODED = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line it starts on (from 1), its source text, and its columns or, in words, why there are none."""

    line: int
    raw: str
    reason: str = ""
    cells: tuple[str, ...] = ()
    columns: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A file's rows and the columns found in it.

    headed: False for a table whose columns go by number. structured: its cells may be lists and objects.
    unit: what `Row.line` counts: lines of the file, or its rows where it has no lines.
    """

    path: Path
    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    headed: bool = True
    structured: bool = False
    unit: str = "line"


def objects(path: Path, rows: Iterable[Row], mapped: tuple[str, ...], unit: str = "line") -> Source:
    """A source of rows that name their own columns. Raises LuthierError for no row or no such column."""
    whole = tuple(rows)
    if not whole:
        raise LuthierError(f"{path} is empty: it needs one example a row")
    found = tuple(dict.fromkeys(name for row in whole for name in row.columns))
    if found:
        check_mapped(path, mapped, found)
    return Source(path, whole, found, structured=True, unit=unit)


def decode(path: Path) -> str:
    """The file as text. Raises LuthierError when it cannot be read, is empty or is UTF-16."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise LuthierError(f"{path} does not exist: check the path") from None
    except (OSError, ValueError) as error:
        raise LuthierError(f"{path} cannot be read: {error}") from None
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise LuthierError(f"{path} is UTF-16: save it as UTF-8")
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    if not text or text.isspace():
        raise LuthierError(f"{path} is empty: it needs one example a row")
    return text


def lines(text: str) -> Iterator[Row]:
    """One row a line that is not blank."""
    for number, line in enumerate(text.split("\n"), 1):
        raw = line.removesuffix("\r")
        if raw.strip(" \r"):
            yield Row(number, raw, fault(raw))


def paragraphs(path: Path, mapped: tuple[str, ...]) -> Source:
    """A .txt file: a row is a paragraph, paragraphs are separated by blank lines; its column is `text`."""
    rows: list[Row] = []
    held: list[str] = []
    for number, line in enumerate([*decode(path).split("\n"), ""], 1):
        if line.strip():
            held.append(line.removesuffix("\r"))
        elif held:
            raw = "\n".join(held)
            reason = fault(raw)
            rows.append(Row(number - len(held), raw, reason, columns={} if reason else {"text": raw}))
            held = []
    check_mapped(path, mapped, ("text",))
    return Source(path, tuple(rows), ("text",))


def printable(raw: str) -> str:
    """`raw` with undecoded bytes and halves of characters as \\xNN, so that it can be written to a UTF-8 file."""
    try:
        data = raw.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # halves that came from \\ud83d in JSON, not from bytes
        data = raw.encode("utf-8", "surrogatepass")
    return data.decode("utf-8", "backslashreplace")


def visible(text: str) -> str:
    """The text with control characters (which a terminal would obey) and broken ones written out."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", printable(text))


def fault(raw: str) -> str:
    """What is wrong with a row before anybody looks at its columns, or ''."""
    if len(raw) > MAX_BYTES // 4 and len(raw.encode("utf-8", "surrogateescape")) > MAX_BYTES:
        return f"longer than {MAX_BYTES // 2**20} MB"
    if found := _UNDECODED.search(raw):
        return f"not valid UTF-8: byte 0x{ord(found[0]) - 0xDC00:02x} at character {found.start() + 1}"
    if (at := raw.find("\0")) >= 0:
        return f"holds a NUL byte at character {at + 1}"
    return ""


def kind(value: object) -> str:
    """A value's kind in words."""
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}
    names |= {dict: "an object", bytes: "bytes"}
    return names.get(type(value), f"a {type(value).__name__}")


def check_mapped(path: Path, mapped: Iterable[str], found: tuple[str, ...]) -> None:
    """Raise LuthierError for a column that --map names and the file lacks."""
    for name in mapped:
        if name not in found:
            close = difflib.get_close_matches(name, found, n=1)
            hint = f'; did you mean "{close[0]}"?' if close else ""
            raise LuthierError(f'{path} has no column "{name}" that --map names; it has {quoted(found)}{hint}')


def quoted(names: Iterable[str], most: int = 12) -> str:
    """Column names for a message: quoted, shortened, at most `most`."""
    short = [f'"{name[:40]}…"' if len(name) > 40 else f'"{name}"' for name in islice(names, most + 1)]
    return ", ".join(map(printable, short[:most])) + (", …" if len(short) > most else "")
