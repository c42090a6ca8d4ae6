"""Addresses of machines: IPv4 in four parts, IPv6 (RFC 4291), but for unspecified and loopback ones."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from luthier.corpus.privacy import COLONS, DOTS, Pattern

_V4 = re.compile(
    r"(?<![A-Za-z0-9_.\-])(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}(?![A-Za-z0-9_\-])(?!\.\d)",
    re.ASCII,
)
_V6 = re.compile(
    r"(?<![A-Za-z0-9_:.])(?=[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:)[0-9A-Fa-f:]{3,39}(?:(?:\d{1,3}\.){3}\d{1,3})?(?![A-Za-z0-9_:])",
    re.ASCII,
)
_VERSION = re.compile(r"(?:v|ver|version|versions|release|版本|版|build|firmware|固件)[ .:：]*$", re.IGNORECASE)
_THREE = re.compile(r"(?<![\d.])\d+\.\d+\.\d+(?!\.?\d)")  # a version of three parts beside it
_SECTION = re.compile(r"(?:section|chapter|clause|table|see|see also|§|第|见)\s*$", re.IGNORECASE)


def _v4(found: re.Match[str]) -> bool:
    before = found.string[max(0, found.start() - 30) : found.start()]
    own = IPv4Address(found.group())
    return not (
        own.is_unspecified
        or own.is_loopback
        or _VERSION.search(before)
        or _SECTION.search(before)
        or _THREE.search(before)
    )


def _v6(found: re.Match[str]) -> bool:
    if not any(char.isdigit() for char in found.group()):
        return False  # names of code: Face::Bed
    try:
        own = IPv6Address(found.group())
    except AddressValueError:
        return False
    return not (own.is_unspecified or own.is_loopback)


PATTERNS = (
    Pattern("IP", _V4, (DOTS,), _v4, certain=6),
    Pattern("IP", _V6, (COLONS,), _v6, certain=6, before=40),
)
