"""Licence plates of Chinese vehicles (GA 36-2018): a province, a letter, five or, of new energy, six characters."""

from __future__ import annotations

import re

from luthier.corpus.privacy import Pattern

_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_PLATE = re.compile(
    rf"[{_PROVINCES}][A-HJ-NP-Z][·•. \-]?"
    r"(?:[DF][A-HJ-NP-Z0-9]{5}|[A-HJ-NP-Z0-9]{5}[DF]|[A-HJ-NP-Z0-9]{4}[A-HJ-NP-Z0-9挂学警港澳])(?![A-Za-z0-9])"
)


def _has_digits(found: re.Match[str]) -> bool:
    return sum(char.isdigit() for char in found.group()) >= 2


PATTERNS = (Pattern("PLATE", _PLATE, tuple(_PROVINCES), _has_digits, certain=7),)
