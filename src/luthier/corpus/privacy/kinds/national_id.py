"""Chinese resident identity numbers: GB 11643-1999 (18 characters with a check character) and the older one of 15."""

from __future__ import annotations

import re
from datetime import date

from luthier.corpus.privacy import DIGITS, Pattern

_NEW = re.compile(r"(?<![0-9A-Za-z])[1-9]\d{5}[ ]?(?:18|19|20)\d{6}[ ]?\d{3}[0-9Xx](?![0-9A-Za-z])")
_OLD = re.compile(r"(?<![0-9A-Za-z.])[1-6]\d{5}\d{6}\d{3}(?![0-9A-Za-z.])")
_SAID = re.compile(
    r"身份证|证件|身分证|老证|旧证|1[58]位|十[五八]位|ID (?:card|number)|identity|resident", re.IGNORECASE
)
_PROVINCES = {
    *range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66), 71, 81, 82, 83,
}  # fmt: skip


def _valid(found: re.Match[str]) -> bool:
    from stdnum.iso7064 import mod_11_2

    text = found.group().replace(" ", "").upper()
    return int(text[:2]) in _PROVINCES and _is_date(text[6:14]) and mod_11_2.is_valid(text)


def _plausible(found: re.Match[str]) -> bool:
    """A province, a date of birth, and said to be one: there is no check digit."""
    text = found.group()
    before = found.string[max(0, found.start() - 24) : found.start()]
    return int(text[:2]) in _PROVINCES and _is_date(f"19{text[6:12]}") and bool(_SAID.search(before))


def _is_date(digits: str) -> bool:
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return True


PATTERNS = (
    Pattern("ID", _NEW, (DIGITS,), _valid, certain=9),
    Pattern("ID", _OLD, (DIGITS,), _plausible, certain=7),
)
