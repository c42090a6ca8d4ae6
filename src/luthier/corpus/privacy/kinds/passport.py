"""Numbers of passports: Chinese ones (E, EA to EZ, G, D, S, P and digits), others where a text says what they are."""

from __future__ import annotations

import re

from luthier.corpus.privacy import Pattern

_PASSPORT = re.compile(
    r"(?:护照|(?i:passport))[^\dA-Z\n。;；]{0,20}?(?:(?i:no\.?|nr\.?)\s*)?(?P<it>[A-Z]{0,3}\d[A-Z0-9]{5,8})(?![A-Za-z0-9\-/])"
)
_CHINESE = re.compile(r"(?<![A-Za-z0-9])(?P<it>(?:E[A-HJ-NP-Z]\d{7}|[EGDSP]\d{8}|[DSP]E\d{7}))(?![A-Za-z0-9])")
_NEAR = 40  # characters around a Chinese number in which the word stands


def _near(found: re.Match[str]) -> bool:
    around = found.string[max(0, found.start() - _NEAR) : found.end() + _NEAR].lower()
    return "护照" in around or "passport" in around


PATTERNS = (
    Pattern("PASSPORT", _PASSPORT, ("护照", "passport"), certain=6),
    Pattern("PASSPORT", _CHINESE, ("护照", "passport"), _near, certain=6, before=_NEAR, after=_NEAR),
)
