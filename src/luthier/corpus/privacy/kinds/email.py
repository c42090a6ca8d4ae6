"""Addresses of electronic mail (the dot-atom form of RFC 5322, in a domain with a dot)."""

from __future__ import annotations

import re

from luthier.corpus.privacy import AT, Pattern

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+\-/])[A-Za-z0-9](?:[A-Za-z0-9._%+\-]{0,62}[A-Za-z0-9_])?"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![A-Za-z0-9\-@])(?!:[A-Za-z~/])"
)

PATTERNS = (Pattern("EMAIL", _EMAIL, (AT,), certain=6, before=66, longest=400),)
