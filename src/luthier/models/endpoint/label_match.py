"""Which label an answer names: for models that are asked for a label and write a text.

Both are compared as scores compare words (`luthier.data.answer_words`): case, width, quotes and full stops make no
difference, symbols and signs do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from luthier.data.answer_words import words


def named(answer: str, labels: Sequence[str]) -> int | None:
    """Which label an answer names: all of it or its first line, else the only one that stands in it as a whole."""
    whole, first, wanted = _plain(answer), _plain(answer.strip().split("\n", 1)[0]), [_plain(label) for label in labels]
    for text, names in ((answer.strip(), list(labels)), (whole, wanted), (first, wanted)):
        if text and names.count(text) == 1:
            return names.index(text)
    # a label inside a longer one that stands there too ("access" in "account access") is not meant
    places = {i: _places(label, whole) for i, label in enumerate(wanted) if label}
    meant = [
        i for i, own in places.items()
        if any(not any(a <= x and y <= b and b - a > y - x for o in places.values() for a, b in o) for x, y in own)
    ]  # fmt: skip
    return meant[0] if len(meant) == 1 else None


def _places(label: str, text: str) -> list[tuple[int, int]]:
    # Korean hangs its particles on a word
    edges = ("", "") if re.search(r"[\uac00-\ud7af]", label) else (r"(?<!\S)", r"(?!\S)")
    return [m.span() for m in re.finditer(edges[0] + re.escape(label) + edges[1], text)]


def _plain(text: str) -> str:
    return " ".join(words(text))
