"""Placeholders for private data: `[PHONE_1]`, the same for the same number, or person, all through a text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from luthier.corpus.privacy import Span

_PLACEHOLDER = re.compile(r"\[([A-Z]+)_(\d{1,9})\]")
_EXTENSION = re.compile(r"[, ]*(?:ext\.?|extension|x|转)\s?\d{1,5}$", re.IGNORECASE)


def masked(text: str, spans: Sequence[Span]) -> str:
    """The text with placeholders. spans: apart from each other and in their order."""
    names = Names(text)
    out, at = [], 0
    for span in spans:
        out += [text[at : span.start], names.of(span.kind, text[span.start : span.end])]
        at = span.end
    return "".join([*out, text[at:]])


class Names:
    """The placeholders of a text, by what they stand for; those that stand in it already are nobody's."""

    def __init__(self, text: str = "") -> None:
        self._known: dict[str, dict[str, int]] = {}
        self._parts: dict[str, set[int]] = {}  # numbers of persons by a part of their names
        self._last: dict[str, int] = {}
        for found in _PLACEHOLDER.finditer(text):
            self._last[found[1]] = max(self._last.get(found[1], 0), int(found[2]))

    def of(self, kind: str, value: str) -> str:
        """The placeholder of a value, which is the one of the same value before."""
        known, key = self._known.setdefault(kind, {}), _same(kind, value)
        if key not in known:
            known[key] = (kind == "PERSON" and self._whole(key)) or self._next(kind)
            if kind == "PERSON":
                for part in key.split() if key.isascii() else (key[:1], key[:2]):
                    self._parts.setdefault(part, set()).add(known[key])
        return f"[{kind}_{known[key]}]"

    def _next(self, kind: str) -> int:
        self._last[kind] = self._last.get(kind, 0) + 1
        return self._last[kind]

    def _whole(self, key: str) -> int:
        """The one person before of whose name this is a part, as `Smith` of `John Smith`, 王 of 王建国; else 0."""
        found = self._parts.get(key, set()) if len(key.split()) == 1 and (key.isascii() or len(key) <= 2) else set()
        return next(iter(found)) if len(found) == 1 else 0


def _same(kind: str, value: str) -> str:
    """A value without what makes no difference: of a telephone its country, its extension and how it is written."""
    if kind == "PHONE":
        return re.sub(r"\D", "", _EXTENSION.sub("", value))[-10:]
    return re.sub(r"\D", "", value) if kind in ("CARD", "QQ") else " ".join(value.casefold().split())
