"""From a jsonl, csv or tsv file to rows: the line each starts on, its columns, or the reason why it cannot be read.

Bytes are decoded with `surrogateescape` and only a line feed ends a line, so one broken byte spoils one row and
the line numbers are those of the user's editor, whatever else (U+2028, form feeds, NUL) stands in a text.
"""

from __future__ import annotations

import difflib
import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from luthier.errors import LuthierError

FIELDS = ("text", "label", "instruction", "input", "output", "messages")
EXTENSIONS = (".jsonl", ".csv", ".tsv")
MAX_BYTES = 10 * 2**20  # a longer row is a mistake (a missing line end, a pasted file) far more often than a text
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
    """A file's rows and the columns found in it; `headed` is False for a table whose columns go by number."""

    path: Path
    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    headed: bool = True

    @property
    def extension(self) -> str:
        """One of EXTENSIONS."""
        return self.path.suffix.lower()


def load(path: Path, mapped: Iterable[str] = ()) -> Source:
    """The rows of `path`. `mapped` are the columns a `--map` names: all numbers mean a table without header row.

    Raises LuthierError where nothing can be read: no such file, a folder, an empty file, another format, a broken
    header, a mapped column that is not there.
    """
    path, names = Path(path), tuple(mapped)
    extension = path.suffix.lower()
    if path.is_dir():
        raise LuthierError(f"{path} is a folder: name one {', '.join(EXTENSIONS)} file in it")
    if path.exists() and extension not in EXTENSIONS:
        _refuse_extension(path)
    text = _decode(path)
    if extension == ".jsonl":
        rows = tuple(_parse_json(row) for row in _lines(text))
        found = tuple(dict.fromkeys(name for row in rows for name in row.columns))
        if any(row.columns for row in rows):
            _check_mapped(path, names, found)
        return Source(path, rows, found)
    if extension == ".tsv":
        return _table(path, [replace(row, cells=tuple(row.raw.split("\t"))) for row in _lines(text)], names)
    return _table(path, list(_csv(text, *_sniff(text, names))), names)


def printable(raw: str) -> str:
    """`raw` with undecoded bytes and halves of characters as \\xNN, so that it can be written to a UTF-8 file."""
    try:
        data = raw.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # halves that came from \\ud83d in JSON, not from bytes
        data = raw.encode("utf-8", "surrogatepass")
    return data.decode("utf-8", "backslashreplace")


def _refuse_extension(path: Path) -> NoReturn:
    known = ", ".join(EXTENSIONS)
    if path.suffix.lower() == ".json":
        code = f"import json; [print(json.dumps(r)) for r in json.load(open('{path.name}', encoding='utf-8'))]"
        raise LuthierError(
            f"{path}: .json is not read, only {known}. A JSON array becomes .jsonl (one object a line) with\n"
            f'  python -c "{code}" > {path.stem}.jsonl'
        )
    raise LuthierError(f"{path}: unknown kind of file {path.suffix or '(no extension)'}: luthier reads {known}")


def _decode(path: Path) -> str:
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


def _fault(raw: str) -> str:
    """What is wrong with a row before anybody looks at its columns, or ''."""
    if len(raw) > MAX_BYTES // 4 and len(raw.encode("utf-8", "surrogateescape")) > MAX_BYTES:
        return f"longer than {MAX_BYTES // 2**20} MB"
    if found := _UNDECODED.search(raw):
        return f"not valid UTF-8: byte 0x{ord(found[0]) - 0xDC00:02x} at character {found.start() + 1}"
    if (at := raw.find("\0")) >= 0:
        return f"holds a NUL byte at character {at + 1}"
    return ""


def _lines(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        raw = line.removesuffix("\r")
        if raw.strip(" \r"):
            yield Row(number, raw, _fault(raw))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _parse_json(row: Row) -> Row:
    if row.reason:
        return row
    try:
        value = json.loads(row.raw, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        return replace(row, reason=f"not JSON: {error.msg} at column {error.colno}")
    except ValueError as error:  # NaN, or an integer of thousands of digits
        return replace(row, reason=f"not JSON: {error}")
    except RecursionError:
        return replace(row, reason="not JSON that can be read: nested too deeply")
    if not isinstance(value, dict):
        return replace(row, reason=f"not a JSON object but {kind(value)}")
    return replace(row, columns=value)


def kind(value: object) -> str:
    """A JSON value's kind in words."""
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}
    return names.get(type(value), "an object")


def _check_mapped(path: Path, mapped: Iterable[str], found: tuple[str, ...]) -> None:
    for name in mapped:
        if name not in found:
            close = difflib.get_close_matches(name, found, n=1)
            hint = f'; did you mean "{close[0]}"?' if close else ""
            raise LuthierError(f'{path} has no column "{name}" that --map names; it has {quoted(found)}{hint}')


def quoted(names: Iterable[str], most: int = 12) -> str:
    """Column names for a message: quoted, shortened, at most `most`."""
    short = [f'"{name[:40]}…"' if len(name) > 40 else f'"{name}"' for name in islice(names, most + 1)]
    return ", ".join(map(printable, short[:most])) + (", …" if len(short) > most else "")


def _table(path: Path, rows: list[Row], mapped: tuple[str, ...]) -> Source:
    numbers = [name.isascii() and name.isdigit() for name in mapped]
    if any(numbers) and not all(numbers):
        raise LuthierError(f"--map {','.join(mapped)}: name the columns by header or by number, not both")
    headed = not any(numbers)
    if headed:
        names = _header(path, rows[0], mapped)
        rows, width = rows[1:], len(names)
        _check_mapped(path, mapped, names)
        if not rows:
            hint = "if that is no header, number the columns: --map 0=text,1=label"
            raise LuthierError(f"{path} has a header row ({quoted(names)}) and no row under it; {hint}")
    else:
        width = Counter(len(row.cells) for row in rows).most_common(1)[0][0]
        names = tuple(str(i) for i in range(width))
        _check_mapped(path, mapped, names)
    usual = "the header has" if headed else "most rows have"
    advice = "a tab inside a text?" if path.suffix.lower() == ".tsv" else "put a text that holds a separator in quotes"
    out = []
    for row in rows:
        reason = _fault(row.raw) or row.reason
        if not reason and len(row.cells) != width:
            reason = f"{len(row.cells)} column(s) where {usual} {width}: {advice}"
        cells = {} if reason else dict(zip(names, row.cells, strict=True))
        out.append(replace(row, reason=reason, columns=cells))
    return Source(path, tuple(out), names, headed)


def _header(path: Path, row: Row, mapped: tuple[str, ...]) -> tuple[str, ...]:
    if reason := _fault(row.raw) or row.reason:
        raise LuthierError(f"{path}:{row.line}: the header row cannot be read: {reason}")
    names: list[str] = []
    for i, cell in enumerate(row.cells):
        name = cell.strip() or str(i)
        if name in names and (name in FIELDS or name in mapped):
            raise LuthierError(f'{path}:{row.line}: the header has column "{name}" twice: rename one')
        while name in names:
            name += "'"
        names.append(name)
    return tuple(names)


def _sniff(text: str, mapped: tuple[str, ...]) -> tuple[str, list[int]]:
    """The separator, by the first rows: known names in the header first, then rows of equal width; comma on a tie."""
    # A quoted field ends at the next run of quotes of odd length: looked up once, parsing stays linear whatever comes.
    closers = [run.end() - 1 for run in re.finditer('"+', text) if len(run[0]) % 2]

    def score(separator: str) -> tuple[int, int]:
        rows = list(islice(_csv(text, separator, closers), 50))
        header = {cell.strip() for cell in rows[0].cells} if rows else set()
        width, count = Counter(len(row.cells) for row in rows).most_common(1)[0] if rows else (0, 0)
        return len(header & {*mapped, *FIELDS}), count if width > 1 else 0

    return max(",;", key=score), closers


def _csv(text: str, separator: str, closers: list[int]) -> Iterator[Row]:
    """RFC 4180 rows; a row with a broken quote is bad alone: reading goes on at the line after the one it starts on."""
    plain = re.compile(f"[^{separator}\n]*")
    at, line = 0, 1
    while at < len(text):
        cells, end, reason = _record(text, at, separator, plain, closers)
        if reason:
            end = _line_end(text, at)
        raw = text[at:end].removesuffix("\r")
        if raw.strip(" \r"):
            yield Row(line, raw, reason, tuple(cells))
        line += text.count("\n", at, end + 1)
        at = end + 1


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _record(
    text: str, at: int, separator: str, plain: re.Pattern[str], closers: list[int]
) -> tuple[list[str], int, str]:
    """Cells of the record at `at`, where it ends (a line feed or the end of the text), and what is wrong with it."""
    cells: list[str] = []
    while True:
        if text.startswith('"', at):
            run = at + 1
            while text.startswith('"', run):
                run += 1
            following = bisect_left(closers, run)
            if (run - at) % 2 == 0:  # the run that opens the field also closes it: "" or """"
                close = run - 1
            elif following < len(closers):
                close = closers[following]
            else:
                return cells, at, "a quote is opened and never closed"
            cells.append(text[at + 1 : close].replace('""', '"').replace("\r\n", "\n"))
            at = close + 1
            if text.startswith("\r\n", at):
                at += 1
            if at < len(text) and text[at] not in (separator, "\n"):
                return cells, at, "text after a closing quote: double the quotes inside a quoted text"
        else:
            match = plain.match(text, at)
            end = match.end() if match else at
            stop = end == len(text) or text[end] == "\n"
            cells.append(text[at:end].removesuffix("\r") if stop else text[at:end])
            at = end
        if at == len(text) or text[at] == "\n":
            return cells, at, ""
        at += 1
