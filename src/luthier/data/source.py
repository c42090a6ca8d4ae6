"""What every reader of files gives: rows with the line each starts on, its columns, or why it cannot be read.

Bytes are decoded with `surrogateescape` and only a line feed ends a line, so one broken byte spoils one row and
the line numbers are those of the user's editor, whatever else (U+2028, form feeds, NUL) stands in a text.
"""

from __future__ import annotations

import difflib
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.data import encoding as encodings
from luthier.data.filekinds import not_rows

FIELDS = (
    *("text", "label", "labels", "value", "instruction", "input", "output", "messages", "conversations"),
    *("prompt", "completion", "chosen", "rejected", "question", "answer", "answers"),
    *("ranks", "scores", "ranking", "original", "edited"),
    *("system", "history", "context", "tools"),
)
MAX_BYTES = 10 * 2**20  # a longer row is a mistake (a missing line end, a pasted file) far more often than a text
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_PATH = re.compile(r"([^\[\].]+)((?:\[-?\d+\]|\.[^\[\].]+)+)")
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
    notes: what had to be decided to read it, a sentence each.
    """

    path: Path
    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    headed: bool = True
    structured: bool = False
    unit: str = "line"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Text:
    """A file's text, the name of its encoding, and what had to be decided to read it."""

    text: str
    encoding: str = encodings.UTF8
    notes: tuple[str, ...] = ()

    def fault(self, raw: str) -> str:
        """What is wrong with a row before anybody looks at its columns, or ''."""
        return fault(raw, self.encoding)


def objects(
    path: Path, rows: Iterable[Row], mapped: tuple[str, ...], unit: str = "line", notes: tuple[str, ...] = ()
) -> Source:
    """A source of rows that name their own columns. Raises LuthierError for no row or no such column."""
    whole = tuple(rows)
    if not whole:
        raise LuthierError(f"{path} is empty: it needs one example a row")
    found = tuple(dict.fromkeys(name for row in whole for name in row.columns))
    if found:
        check_mapped(path, mapped, found)
    return Source(path, whole, found, structured=True, unit=unit, notes=notes)


def decode(path: Path, encoding: str = "") -> Text:
    """The file as text, with line feeds where its lines end in CR alone. encoding: "" for the one that fits.

    Raises LuthierError for what cannot be read, is empty or no text, and where the encoding cannot be told.
    """
    data = contents(path)
    if what := not_rows(data):
        raise LuthierError(f"{path} is {what}")
    try:
        found = encodings.decode(data, encoding)
    except encodings.UnclearError as error:
        names = " or ".join(f"--encoding {name}" for name in error.fits)
        advice = f"say which with {names}" if names else "save it as UTF-8, or name its own, such as --encoding gb18030"
        raise LuthierError(f"{path}: {error}: {advice}") from None
    except LuthierError as error:
        raise LuthierError(f"{path}: {error}") from None
    text = found.text.lstrip("\ufeff")
    if not text or text.isspace():
        raise LuthierError(f"{path} is empty: it needs one example a row")
    notes = (found.note,) if found.note else ()
    return Text(text.replace("\r", "\n") if "\n" not in text else text, found.name, notes)


def contents(path: Path) -> bytes:
    """The file's bytes, those inside for a .gz file. Raises LuthierError when it cannot be read."""
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    except FileNotFoundError:
        raise LuthierError(f"{path} does not exist: check the path") from None
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise LuthierError(f"{path} cannot be read: {error}") from None


def lines(found: Text) -> Iterator[Row]:
    """One row a line that is not blank."""
    for number, line in enumerate(found.text.split("\n"), 1):
        raw = line.removesuffix("\r")
        if raw.strip(" \r"):
            yield Row(number, raw, found.fault(raw))


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


def fault(raw: str, encoding: str = encodings.UTF8) -> str:
    """What is wrong with a row before anybody looks at its columns, or ''."""
    if len(raw) > MAX_BYTES // 4 and len(raw.encode("utf-8", "surrogateescape")) > MAX_BYTES:
        return f"longer than {MAX_BYTES // 2**20} MB"
    if found := _UNDECODED.search(raw):
        return f"not valid {encoding}: byte 0x{ord(found[0]) - 0xDC00:02x} at character {found.start() + 1}"
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
        if name not in found and root_of(name) not in found:
            close = difflib.get_close_matches(name, found, n=1)
            hint = f'; did you mean "{close[0]}"?' if close else ""
            raise LuthierError(f'{path} has no column "{name}" that --map names; it has {quoted(found)}{hint}')


def root_of(name: str) -> str:
    """The column that a path such as `messages[-1].content` begins with; "" for a plain name."""
    match = _PATH.fullmatch(name)
    return match[1] if match else ""


def inside(value: Any, path: str) -> Any:
    """What stands in a column's value at such a path; None where nothing does."""
    for number, key in re.findall(r"\[(-?\d+)\]|\.([^\[\].]+)", path[len(root_of(path)) :]):
        try:
            value = value[int(number)] if isinstance(value, list) and number else value[key]
        except (IndexError, KeyError, TypeError):
            return None
    return value


def quoted(names: Iterable[str], most: int = 12) -> str:
    """Column names for a message: quoted, shortened, at most `most`."""
    short = [f'"{name[:40]}…"' if len(name) > 40 else f'"{name}"' for name in islice(names, most + 1)]
    return ", ".join(map(printable, short[:most])) + (", …" if len(short) > most else "")
