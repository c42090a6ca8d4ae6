"""The log of a search: one event a line of JSON, whole on disk before the next begins.

A search that was killed is repeated against its log: what it holds (wordings that were written, scores that were paid
for) is taken from there, and the search goes on where it ends. A last line that was cut is dropped.

    {"event": "search", ...settings}                     first line: a log belongs to one search
    {"event": "candidate", "id", "text", "chat", "source", "parent", "round", "slot", "repaired"}
    {"event": "dropped", "reason", "text", "source", "parent", "round", "slot"}
    {"event": "plan", "round", "rows"}                   how many rows the round scores
    {"event": "scores", "id", "at", "values"}            of the training rows from `at` on
    {"event": "failed", "reason", ...}                   said, not kept: it is tried again
    {"event": "round", "round", "rows", "order", "calls"}
    {"event": "best", "id", "rows", "score"}
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.core.phrases import SAID, recall, remember
from luthier.io.files import damaged, write_text

NAME = "search.jsonl"
Event = dict[str, Any]


class Log:
    """Events so far; `add` writes one more. path: None keeps them in memory."""

    def __init__(self, path: Path | None, settings: Event) -> None:
        self.path, self.events = path, [] if path is None else read_log(path)
        if self.events and self.events[0] != (first := {"event": "search", **settings}):
            keys = [k for k in first if self.events[0].get(k) != first[k]]
            raise LuthierError(f"{path} belongs to a search with other {', '.join(keys)}: choose another --out")
        if path is not None and path.exists():
            write_text(path, "".join(map(_line, self.events)))  # without a line that was cut
        if not self.events:
            self.add("search", **settings)

    def add(self, event: str, **values: Any) -> Event:
        """Append an event and give it."""
        found = {"event": event, **values}
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(_line(found).encode())
                file.flush()
                os.fsync(file.fileno())
        self.events.append(found)
        return found

    def of(self, event: str, **values: Any) -> list[Event]:
        """The events of that name that have these values."""
        return [e for e in self.events if e["event"] == event and all(e.get(k) == v for k, v in values.items())]


def _line(event: Event) -> str:
    text = json.dumps(remember(event, "reason"), ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "replace").decode()


def read_log(path: Path) -> list[Event]:
    """The whole lines of a log; none where there is no file. Raises LuthierError where it is damaged."""
    if not path.exists():
        return []
    *lines, rest = path.read_bytes().split(b"\n")
    del rest  # what stands behind the last line break was cut by a kill
    out: list[Event] = []
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
        except ValueError as error:
            raise damaged(path, f"line {number}: {error}") from None
        if not isinstance(event, dict) or "event" not in event:
            raise damaged(path, f"line {number} is no event")
        told = {"reason": recall(event, "reason")} if "reason" in event else {}
        out.append({name: value for name, value in event.items() if name != SAID} | told)
    if out and out[0]["event"] != "search":
        raise damaged(path, "it does not begin with a search")
    return out
