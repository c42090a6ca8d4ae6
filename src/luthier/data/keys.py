"""The keys that stand in a file, and what each does to the records made from it: counted, so that none vanishes.

Whoever reads a row tells a `Trace` what it did with each key; a `Tally` adds the traces of a file up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from luthier.data.verdicts import Judge

Level = Literal["column", "message", "call", "part", "answers"]
Effect = Literal["used", "off", "usual", "unused", "empty"]
Name = tuple[Level, str]
NESTED = ("messages", "conversations", "prompt", "completion", "chosen", "rejected", "history")


@dataclass(frozen=True)
class Key:
    """One key of a file. level: a column, or a key of messages, of tool calls, of parts of contents, of `answers`.

    rows: rows that have it. used: rows whose record it changes; off: those where it takes the loss off an answer;
    usual: where it says what holds without it; unused: where it is left out; empty: where it holds nothing; bad: rows
    that are dropped. A row with several messages may count as used and as unused. field: what it is read as.
    """

    level: Level
    name: str
    field: str = ""
    rows: int = 0
    used: int = 0
    off: int = 0
    usual: int = 0
    unused: int = 0
    empty: int = 0
    bad: int = 0


@dataclass
class Trace:
    """What one row's keys did.

    judges: the keys of messages that say whether an answer was found good; disliked: whether one was found bad.
    empties: answers may hold nothing.
    """

    marks: dict[Name, set[Effect]] = field(default_factory=dict)
    fields: dict[Name, str] = field(default_factory=dict)
    judges: Mapping[str, Judge] = field(default_factory=dict)
    disliked: bool = False
    empties: bool = False

    def mark(self, level: Level, name: str, effect: Effect, read_as: str = "") -> None:
        """Note what a key did; read_as: the field it is."""
        self.marks.setdefault((level, name), set()).add(effect)
        if read_as:
            self.fields.setdefault((level, name), read_as)

    def leave(self, turn: object) -> None:
        """Note that the keys of a message are not used."""
        for level, name in _of_message(turn):
            self.mark(level, name, "unused")


@dataclass
class Tally:
    """The keys of a file's rows."""

    counts: dict[Name, dict[str, int]] = field(default_factory=dict)
    fields: dict[Name, str] = field(default_factory=dict)

    def good(self, columns: Mapping[str, Any], trace: Trace) -> None:
        """Add a row that became a record; columns of which its trace knows nothing are not used."""
        for name, value in columns.items():
            if ("column", name) not in trace.marks:
                trace.mark("column", name, "empty" if nothing(value) else "unused")
        for place, effects in trace.marks.items():
            self._add(place, effects)
        for place, read_as in trace.fields.items():
            self.fields.setdefault(place, read_as)

    def bad(self, columns: Mapping[str, Any], fields: Mapping[str, str]) -> None:
        """Add a row that is dropped. fields: the columns that hold its conversation, and what each is read as."""
        found: set[Name] = {("column", name) for name in columns}
        for name, read_as in fields.items():
            self.fields.setdefault(("column", name), read_as)
            if read_as in NESTED:
                value = columns.get(name)
                for turn in value if isinstance(value, list) else [value]:
                    found.update(_of_message(turn))
        for place in found:
            self._add(place, {"bad"})

    def _add(self, place: Name, effects: set[Any]) -> None:
        counts = self.counts.setdefault(place, {})
        for effect in effects - {"empty"} if len(effects) > 1 else effects:
            counts[effect] = counts.get(effect, 0) + 1
        counts["rows"] = counts.get("rows", 0) + 1

    def keys(self) -> tuple[Key, ...]:
        """All keys: columns first, each level in the order in which its keys were met."""
        order: tuple[Level, ...] = ("column", "message", "call", "part", "answers")
        return tuple(
            Key(place[0], place[1], self.fields.get(place, ""), **counts)
            for level in order
            for place, counts in self.counts.items()
            if place[0] == level
        )


def nothing(value: Any) -> bool:
    """Whether a value holds nothing: null, blank text, an empty list or object."""
    return value is None or value in ([], {}) or (isinstance(value, str) and not value.strip())


def _of_message(turn: object) -> Iterator[Name]:
    if not isinstance(turn, dict):
        return
    for name, value in turn.items():
        yield "message", str(name)
        items = [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
        if name == "tool_calls":
            for item in items:
                yield from (("call", place) for place in call_keys(item))
        elif name in ("content", "value"):
            yield from (("part", str(key)) for item in items for key in item)


def call_keys(call: Mapping[str, Any]) -> Iterator[str]:
    """The keys of a tool call, those of its function as `function.name`."""
    for name, value in call.items():
        yield str(name)
        if name == "function" and isinstance(value, dict):
            yield from (f"function.{inner}" for inner in value)
