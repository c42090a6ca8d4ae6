"""The command that the user gave, and the same with another mapping: advice that can be run as it stands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

MAPPED = {  # commands with --map, and what the advice of a program that gave none of them begins with
    ("compare",), ("predict",), ("eval",), ("data", "inspect"), ("prompt", "search"), ("study",),
}  # fmt: skip
_given: list[str] = []


def keep(arguments: Sequence[str]) -> None:
    """Note what the command line was given, without the program's name."""
    _given[:] = arguments


def trains() -> bool:
    """Whether the command is `luthier train`, whose settings are written key=value."""
    return _given[:1] == ["train"]


def option(name: str, setting: str) -> str:
    """What sets something: an option, or for `luthier train` a setting of the recipe."""
    return setting if trains() else name


def maps() -> bool:
    """Whether the command that was given is one that can be given a mapping."""
    return trains() or any(tuple(_given[: len(name)]) == name for name in MAPPED)


def with_map(path: Path | str, columns: Mapping[str, str], instruction: str | None = None) -> str:
    """The command that was given, with this mapping (and instruction) in place of its own.

    Where none was given, or one that reads no such file, it is the comparison of the file. What the mapping makes
    meaningless (an instruction for texts, names of labels where there are none) is left out.
    """
    fields = set(columns.values())
    gone = (["map"] if columns else []) + (["instruction"] if instruction is not None or "text" in fields else [])
    gone += [] if fields & {"label", "labels"} or not columns else ["labels"]
    added = {} if instruction is None else {"instruction": instruction}
    if trains():
        old = tuple(f"data.{name}{end}" for name in gone for end in "=.")
        kept = [word for word in _given if not word.startswith(old)]
        values = {**({"map": dict(columns)} if columns else {}), **added}
        return shlex.join(
            ["luthier", *kept, *(f"data.{k}={json.dumps(v, ensure_ascii=False)}" for k, v in values.items())]
        )
    kept = list(_given) if maps() else ["compare", str(path)]
    for name in gone:
        kept = _without(kept, f"--{name}")
    mapped = {"map": ",".join(f"{name}={field}" for name, field in columns.items())} if columns else {}
    options = {**mapped, **added}
    return shlex.join(["luthier", *kept, *(word for name, value in options.items() for word in (f"--{name}", value))])


def _without(words: Sequence[str], name: str) -> list[str]:
    """The words without an option and its value."""
    out: list[str] = []
    skip = False
    for word in words:
        if not skip and word != name and not word.startswith(f"{name}="):
            out.append(word)
        skip = not skip and word == name
    return out
