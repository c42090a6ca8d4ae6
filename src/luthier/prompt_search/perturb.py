"""What can happen to a prompt that means the same: typing errors, other case or width, other order of options."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

HAN = re.compile("[\u3400-\u9fff]")
_PLACES = re.compile(r"(\{input\}|\{labels\})")
_UNIT = re.compile(r"[\u3400-\u9fff]+|[^\W\d_\u3400-\u9fff]{3,}")  # runs of Han, and words of three letters and more
_WIDE = {c: chr(ord(c) + 0xFEE0) for c in ",:;!?()"} | {".": "。"}
_NARROW = {wide: c for c, wide in _WIDE.items()}


def around_places(text: str, change: Callable[[str], str]) -> str:
    """A template with its words changed and its places kept."""
    return "".join(part if _PLACES.fullmatch(part) else change(part) for part in _PLACES.split(text))


def typos(text: str, rng: np.random.Generator, share: float = 0.1) -> str:
    """One slip in a share of the words (Han: of the characters), at least one where there is any word of length.

    A slip swaps two neighbours, leaves one letter out, or writes one twice.
    """
    units = list(_UNIT.finditer(text))
    places = [m.start() + i for m in units for i in _slots(m[0])]
    if not places:
        return text
    count = max(1, round(share * len(places)))
    letters = list(text)
    for at in sorted((int(i) for i in rng.choice(len(places), min(count, len(places)), replace=False)), reverse=True):
        _slip(letters, places[at], int(rng.integers(3)))
    return "".join(letters)


def _slots(unit: str) -> list[int]:
    """Where a slip may begin: any character of Han but the last, one place inside a word."""
    return list(range(len(unit) - 1)) if HAN.match(unit) else [len(unit) // 2 - 1]


def _slip(letters: list[str], at: int, kind: int) -> None:
    if kind == 0 and letters[at] != letters[at + 1]:
        letters[at], letters[at + 1] = letters[at + 1], letters[at]
    elif kind == 1:
        del letters[at]
    else:
        letters.insert(at, letters[at])


def cases(text: str) -> list[str]:
    """The text in other case, and with punctuation of the other width, where that changes anything."""
    swapped = "".join(_NARROW.get(c, c) for c in text) if HAN.search(text) else text
    found = [text.lower(), text.upper(), swapped]
    return [t for i, t in enumerate(found) if t != text and t not in found[:i]]


def orders(labels: Sequence[str], count: int, rng: np.random.Generator) -> list[tuple[str, ...]]:
    """At most `count` other orders of the labels, the reversed one first."""
    found = [tuple(reversed(labels))]
    for _ in range(8 * count):
        if len(found) < count:
            found.append(tuple(labels[int(i)] for i in rng.permutation(len(labels))))
            found = [o for i, o in enumerate(found) if o not in found[:i]]
    return [o for o in found if o != tuple(labels)][:count]
