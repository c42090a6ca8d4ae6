"""How the reference reads the package's docstrings: examples become blocks of code, arguments a list.

A docstring here is prose: "data, test: a path or an embedded name. model: one, or several." griffe reads the source,
nothing is imported.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import griffe

FLAG = re.compile(r"\s*#\s*doctest:.*$")


class Docstrings(griffe.Extension):
    """Rewrites the docstrings of functions and classes."""

    def on_package(self, *, pkg: griffe.Module, **more: Any) -> None:
        """A function that the package imports hides a folder of the same name, as it does in Python."""
        for name, target in pkg.imports.items():
            if not target.startswith(f"{pkg.path}."):  # of another package, which may not be read
                continue
            member = pkg.members.get(name)
            if member is not None and member.is_module and target not in (member.path, pkg.path):
                pkg.set_member(name, griffe.Alias(name, target, parent=pkg))

    def on_function(self, *, func: griffe.Function, **more: Any) -> None:
        _rewrite(func, [parameter.name for parameter in func.parameters])

    def on_class(self, *, cls: griffe.Class, **more: Any) -> None:
        begin = cls.members.get("__init__")
        given = [parameter.name for parameter in begin.parameters] if isinstance(begin, griffe.Function) else []
        _rewrite(cls, [*given, *(name for name, member in cls.members.items() if member.is_attribute)])


def _rewrite(thing: griffe.Object, names: Collection[str]) -> None:
    if thing.docstring:
        thing.docstring.value = "\n\n".join(_block(part, names) for part in thing.docstring.value.split("\n\n"))


def _block(text: str, names: Collection[str]) -> str:
    """A paragraph, a block of code or a list of arguments."""
    lines = text.splitlines()
    if lines and lines[0].startswith(">>> "):
        code = [FLAG.sub("", line) for line in lines]
        return "\n".join(["```pycon", *(line for line in code if line != "..."), "```"])
    one = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    starts = (
        list(re.finditer(rf"(?:^|(?<=[.;] ))((?:{one})(?:, (?:{one}))*): ", joined := " ".join(lines))) if one else []
    )
    if not starts:
        return text
    ends = [*(start.start() for start in starts[1:]), len(joined)]
    items = [f"- **{s[1]}**: {joined[s.end() : end].strip()}" for s, end in zip(starts, ends, strict=True)]
    before = joined[: starts[0].start()].strip()
    return "\n".join([*([before, ""] if before else []), *items])
