"""Telephone numbers: Chinese ones, international ones, and those that are written as in the country of the text.

Whether one with its country can be one is told by phonenumbers (metadata of Google's libphonenumber, Apache-2.0).
"""

from __future__ import annotations

import re

from luthier.corpus.privacy import DIGITS, Pattern

_APART = r"[ \t\-–‑.·]?"
_NUMBER = r"(?<![\d./#$€£¥_=-])(?<!\d )"
# what is said of a number that is none
_OTHER = re.compile(
    r"(?:订单|单号|编号|流水|运单|快递|货号|型号|序列|版本|合同|发票|案号|ISBN|ISSN|DOI|order|invoice|tracking|serial|"
    r"parcel|ticket|ref(?:erence)?|sku|part|model|version|commit|build|case|issue|id|no\.|№)"
    r"(?:\s{0,3}(?:号码|号|number|no\.?|nr\.?|id|#))?\s{0,3}(?:is|was|为|是)?\s{0,3}[:：#]?\s{0,3}$",
    re.IGNORECASE,
)
_MOBILE = re.compile(
    rf"{_NUMBER}(?:(?:\+|00)?86{_APART}|\(\+86\) ?)?1[3-9]\d"
    rf"(?:{_APART}\d{{4}}{_APART}\d{{4}}|{_APART}\d{{3}}{_APART}\d{{5}}|\d{{8}})(?![\d.]?\d)(?!-\d)"
)
_LANDLINE = re.compile(
    rf"{_NUMBER}(?:(?:\+|00)86{_APART})?"
    rf"(?:[(（](?:0?10|02\d|0[3-9]\d{{2}})[)）]|(?:010|02\d|0[3-9]\d{{2}})){_APART}[2-9]\d{{2,3}}{_APART}\d{{4}}"
    r"(?: ?(?:转|ext\.?|x|-) ?\d{1,5})?(?!\d)"
)
_SERVICE = re.compile(rf"{_NUMBER}[48]00{_APART}\d{{3,4}}{_APART}\d{{3,4}}(?!\d)")
_INTERNATIONAL = re.compile(
    r"(?<![A-Za-z0-9_.])(?:\+|00)[1-9]\d{0,2}[ \t.\-–]?(?:\(0?\d{1,4}\)[ \t.\-–]?)?\d{1,5}(?:[ \t.\-–]?\d{2,5}){1,4}"
    r"(?:,? ?(?:ext\.?|extension|x|转) ?\d{1,5})?(?!\d)",
    re.IGNORECASE,
)
_NATIONAL = re.compile(
    rf"{_NUMBER}(?:1[ .-])?(?:\(\d{{3}}\) ?|\d{{3}}[ .-])\d{{3}}[ .-]\d{{4}}"
    rf"(?:,? ?(?:ext\.?|extension|x) ?\d{{1,5}})?(?![\d-]\d)(?!\d)"
    rf"|{_NUMBER}0\d(?:[ .]\d\d){{4}}(?!\d)"
    rf"|{_NUMBER}(?:\(0\d{{1,4}}\) ?|0\d{{2,4}}[ -])\d{{3,4}}(?:[ -]?\d{{3,4}}){{1,2}}(?!\d)"
)


_TOLD = re.compile(
    rf"{_NUMBER}[2-9]\d{{2}}-\d{{4}}(?![\d-])|{_NUMBER}1[ -][3-9](?:[ -]\d){{9}}(?!\d)|"
    rf"{_NUMBER}0\d{{8,10}}(?!\d)|{_NUMBER}0\d{{2,4}} \d{{3,6}} \d{{3,4}}(?!\d)"
)
_ABOUT = re.compile(
    r"(?:tel|phone|call|ring|mobile|cell|fax|text|number|desk|whatsapp|dial|电话|手机|座机|传真|热线|致电)",
    re.IGNORECASE,
)


def _is_told(found: re.Match[str]) -> bool:
    """Said to be a telephone's."""
    return bool(_ABOUT.search(found.string[max(0, found.start() - 30) : found.start()])) and _is_number(found)


def _is_number(found: re.Match[str]) -> bool:
    """Not said to be something else."""
    return not _OTHER.search(found.string[max(0, found.start() - 24) : found.start()])


def _possible(found: re.Match[str]) -> bool:
    """Whether a number with its country is as long as numbers there are."""
    import phonenumbers

    text = found.group()
    try:
        number = phonenumbers.parse(f"+{text[2:]}" if text.startswith("00") else text)
    except phonenumbers.NumberParseException:
        return False
    return bool(phonenumbers.is_possible_number(number))


PATTERNS = (
    Pattern("PHONE", _INTERNATIONAL, (DIGITS,), _possible, certain=5),
    Pattern("PHONE", _MOBILE, (DIGITS,), _is_number, certain=3),
    Pattern("PHONE", _LANDLINE, (DIGITS,), _is_number, certain=2),
    Pattern("PHONE", _SERVICE, (DIGITS,), _is_number, certain=2),
    Pattern("PHONE", _NATIONAL, (DIGITS,), _is_number, certain=2),
    Pattern("PHONE", _TOLD, (DIGITS,), _is_told, certain=1),
)
