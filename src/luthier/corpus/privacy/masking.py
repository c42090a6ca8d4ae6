"""Placeholders for private data: `[PHONE_1]`, the same for the same number, or person, all through a text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from luthier.corpus.privacy import Span

_DIGITS = ("PHONE", "CARD", "QQ")


def masked(text: str, spans: Sequence[Span]) -> str:
    """The text with placeholders. spans: apart from each other and in their order."""
    names = Names()
    out, at = [], 0
    for span in spans:
        out += [text[at : span.start], names.of(span.kind, text[span.start : span.end])]
        at = span.end
    return "".join([*out, text[at:]])


class Names:
    """The placeholders of a text, by what they stand for."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, int]] = {}

    def of(self, kind: str, value: str) -> str:
        """The placeholder of a value, which is the one of the same value before."""
        known = self._known.setdefault(kind, {})
        key = _same(kind, value)
        if key not in known:
            whole = _whole(key, known) if kind == "PERSON" else None
            known[key] = known[whole] if whole else len(set(known.values())) + 1
        return f"[{kind}_{known[key]}]"


def _same(kind: str, value: str) -> str:
    """A value without what makes no difference."""
    if kind in _DIGITS:
        digits = re.sub(r"\D", "", value)
        return digits[-11:] if kind == "PHONE" and len(digits) > 11 else digits
    return " ".join(value.casefold().split())


def _whole(key: str, known: dict[str, int]) -> str | None:
    """The one name before of which this one is a part: `Smith` of `John Smith`, 王 of 王建国; None where two are."""
    words = key.split()
    found = {
        known[other]: other
        for other in known
        if (len(words) == 1 and words[0] in other.split())
        or (len(key) <= 2 and not key.isascii() and other.startswith(key))
    }
    return next(iter(found.values())) if len(found) == 1 else None
