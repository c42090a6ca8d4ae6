"""Numbers of bank cards: 13 to 19 digits that begin as a network's do (ISO/IEC 7812), with Luhn's check digit."""

from __future__ import annotations

import re

from luthier.corpus.privacy import DIGITS, Pattern

_CARD = re.compile(
    r"(?<![A-Za-z0-9_.+\-/#])(?<!\d )"
    r"(?:\d{4}([ \-])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|\d{4}([ \-])\d{6}\2\d{5}|\d{13,19})"
    r"(?![A-Za-z0-9_\-/])(?!\.\d)(?! \d)"
)
_OTHER = re.compile(
    r"(?:订单|单号|编号|流水|运单|快递|货号|序列|IMEI|ISBN|EAN|条码|order|invoice|tracking|serial|parcel|timestamp|时间戳)"
    r"[^\d\n]{0,12}$",
    re.IGNORECASE,
)
# Visa, Mastercard, American Express, Diners Club, Discover, JCB, UnionPay, Maestro
_BEGINS = re.compile(r"4|5[1-5]|2[2-7]|3[47]|3[068]|6(?:011|5|4[4-9])|35|62|81|50|5[6-8]|6[0379]|9[0-9]")


def _valid(found: re.Match[str]) -> bool:
    from stdnum import luhn

    digits = re.sub(r"\D", "", found.group())
    before = found.string[max(0, found.start() - 24) : found.start()]
    return bool(_BEGINS.match(digits)) and luhn.is_valid(digits) and not _OTHER.search(before)


PATTERNS = (Pattern("CARD", _CARD, (DIGITS,), _valid, certain=8),)
