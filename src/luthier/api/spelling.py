"""Errors as a Python program spells things: `limit=`, not `--limit`; "data, row 3", not the file it was kept in.

The rooms that raise them speak of options, since most of them are met on the command line. What is said is the same.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise

from luthier.core.errors import LuthierError

FLAGS = ("skip-bad", "again", "anyway")
TABLES = ("map", "labels", "endpoint", "fill")
NAMES = (
    *("test", "model", "methods", "family", "budget", "total", "seeds", "limit", "limit-test", "instruction"),
    *("encoding", "docs", "metric", "curve", "track", "out", "template", "threads"),
    *(
        "pair",
        "batch",
        "prefer",
        "judge",
        "reward",
        "max-length",
        "methods-file",
        "answer-tokens",
        "class-weights",
        *TABLES,
        *FLAGS,
    ),
)
_NAME = "|".join(sorted(NAMES, key=len, reverse=True))
_PAIRS = r"[^=,\n:]+=[^\s,.:;]+(?:,[^=,\n:]+=[^\s,.:;]+)*"
_FIRST = re.compile(rf"--({_NAME})(?: ((?:(?!--)[^\n])*?))?: ")  # an option, its value, then what is wrong with it
_TABLE = re.compile(rf"--({'|'.join(TABLES)}) ({_PAIRS})")
_VALUE = re.compile(r"--(encoding|budget|total) ((?=[^ ]*\d)\w[\w.-]*\w)|--(instruction) (\"[^\"]*\")")
_ANY = re.compile(rf"--({_NAME})(?![\w-])")
_COMMAND = re.compile(r"^( *)(luthier [^\n]*--(?:map|instruction) [^\n]*)$", re.MULTILINE)  # advice to be run
_KEY = re.compile(r"(?:data\.)?(\w+)((?:\.[^:]+)?): (.*) \(got (.*)\)", re.DOTALL)  # as `config.build` says it


def from_python(text: str, rows: Mapping[str, str] | None = None) -> str:
    """The sentence with arguments in place of options. rows: files that hold what was given, by the argument's name.

    >>> from_python("--budget 5: write a time (90s, 3m, 1h)")
    "budget='5': write a time (90s, 3m, 1h)"
    >>> from_python("say which with --map, such as --map body=text")
    'say which with map=, such as map={"body": "text"}'
    """
    for path, name in (rows or {}).items():
        text = re.sub(rf"{re.escape(path)}:(\d+)", rf"{name}, row \1", text).replace(path, name)
    text = _COMMAND.sub(lambda m: m[1] + _arguments(m[2]), text)
    if found := _FIRST.match(text):
        value = "" if found[2] is None else f"={_literal(found[1], found[2])}"
        text = f"{_spelled(found[1])}{value}: {text[found.end() :]}"
    text = _TABLE.sub(lambda m: f"{_spelled(m[1])}={_table(m[2])}", text)
    text = _VALUE.sub(lambda m: f'{m[1]}="{m[2]}"' if m[1] else f"instruction={m[4]}", text)
    return _ANY.sub(lambda m: _spelled(m[1]) + ("=True" if m[1] in FLAGS else "="), text)


def keyed(text: str) -> str:
    """A wrong value as `name=value`, a wrong key of a table as `name["key"]`.

    >>> keyed("data.limit: Input should be a valid integer (got 'x')")
    "limit='x': Input should be a valid integer"
    """
    if found := _KEY.fullmatch(text):
        name, inner, what, given = found.groups()
        return f"{name}{_keys(inner)}={given}: {what}"
    text = re.sub(r"^endpoint\.(\w+)", r'endpoint["\1"]', text)
    return re.sub(r"^data\.path\b", "data", text)


@contextmanager
def spoken(rows: Mapping[str, str] | None = None, arguments: bool = False) -> Iterator[None]:
    """What is raised within names things as Python does. arguments: keys of the data's settings were arguments."""
    try:
        yield
    except LuthierError as error:
        text = from_python(str(error), rows)
        error.args = (keyed(text) if arguments else text,)
        raise


def _spelled(name: str) -> str:
    return "methods" if name == "family" else name.replace("-", "_")


def _literal(name: str, value: str) -> str:
    return value if name == "curve" else repr(value)


def _arguments(command: str) -> str:
    """The mapping and the instruction of a command that is advised, as arguments."""
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    given = dict(pairwise(words))
    parts = [f"map={_table(given['--map'])}"] if "--map" in given else []
    parts += (
        [f"instruction={json.dumps(given['--instruction'], ensure_ascii=False)}"] if "--instruction" in given else []
    )
    return ", ".join(parts)


def _table(pairs: str) -> str:
    parts = (pair.partition("=") for pair in pairs.split(","))
    return "{" + ", ".join(f'"{key}": "{value}"' for key, _, value in parts) + "}"


def _keys(dotted: str) -> str:
    return "".join(f'["{part}"]' for part in dotted.split(".") if part)
