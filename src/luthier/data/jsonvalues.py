"""One JSON value: read as it should be written, or as people and Python write it, or refused with the reason.

Trailing commas and comments are left out; a Python literal (single quotes, None, True) is read where JSON cannot be.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any, NoReturn

LOOSE, PYTHON = "said_file_loose", "said_file_python"  # how a value is written, by the note of it
_STRING = r'"(?:[^"\\]|\\.)*"'
_COMMENT = r"//[^\n]*|/\*.*?\*/"
_SKIPPED = re.compile(f"({_STRING})|{_COMMENT}", re.DOTALL)
_COMMAS = re.compile(rf"({_STRING})|,(?=[ \t\r\n]*[}}\]])", re.DOTALL)
_PARTS = re.compile(rf"{_STRING}|'(?:[^'\\]|\\.)*'|{_COMMENT}|[{{}}\[\]]", re.DOTALL)


def value_of(raw: str) -> tuple[Any, str]:
    """The value, and LOOSE or PYTHON where it is not JSON. Raises ValueError with the reason, RecursionError."""
    try:
        return json.loads(raw, parse_constant=_no_constant), ""
    except json.JSONDecodeError as error:
        for how, read in ((LOOSE, _loose), (PYTHON, _python)):
            try:
                return read(raw), how
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
        raise error


def end_of(text: str, at: int, limit: int) -> int | None:
    """Where the brackets opened at `at` are closed again, strings and comments aside, before `limit`."""
    depth = 0
    for part in _PARTS.finditer(text, at, limit):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(part[0], 0)
        if depth <= 0:
            return part.end() if part[0] in ("}", "]") else None
    return None


def _loose(raw: str) -> Any:
    plain = _SKIPPED.sub(lambda found: found[1] or " ", raw)
    return json.loads(_COMMAS.sub(lambda found: found[1] or "", plain), parse_constant=_no_constant)


def _python(raw: str) -> Any:
    if "'" not in raw:
        raise ValueError("no Python literal")
    return _plain(ast.literal_eval(raw.strip()))


def _plain(value: Any) -> Any:
    """A literal of what JSON has too. Raises ValueError for the others."""
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise ValueError("a key is no text")
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError(f"a {type(value).__name__} is no JSON value")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
