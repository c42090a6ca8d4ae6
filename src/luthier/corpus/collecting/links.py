"""What a page links to, and what it asks of robots: <a href>, <area href>, <base href>, <meta name="robots">.

    body --charset--> text --lxml, no tree--> links in order, noindex, nofollow

Encodings are those of the header, else of the page's beginning, else UTF-8: enough for addresses. The record keeps the
bytes, and whoever reads it finds the encoding by evidence.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass

from luthier.corpus.collecting.addresses import BadAddressError, normal

CHARSET = re.compile(rb"""charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""", re.IGNORECASE)
HEAD = 2048  # bytes in which a page names its encoding
WIDER = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso-8859-1": "cp1252",
    "ascii": "cp1252",
}  # what browsers take them for
NAMES = ("robots", "luthier")


@dataclass(frozen=True)
class Asks:
    """Of robots, in a page or a header."""

    noindex: bool = False
    nofollow: bool = False

    @staticmethod
    def of(text: str) -> Asks:
        """Of "noindex, nofollow"; a header may name the robot it speaks to: "luthier: none"."""
        words: set[str] = set()
        for part in text.lower().split(","):
            name, colon, rest = part.partition(":")
            if not colon or name.strip() in NAMES:
                words |= set((rest if colon else part).split())
        return Asks(bool(words & {"noindex", "none"}), bool(words & {"nofollow", "none"}))

    def plus(self, other: Asks) -> Asks:
        return Asks(self.noindex or other.noindex, self.nofollow or other.nofollow)


def look(body: bytes, type_: str, address: str) -> tuple[list[str], Asks]:
    """The links of an HTML page as normal addresses, each once, and what it asks. type_: the header Content-Type."""
    from lxml import etree

    encoding = encoding_of(body, type_)
    page = _Page()
    parser = etree.HTMLParser(target=page, encoding="utf-8")
    try:
        parser.feed(body.decode(encoding, "replace").encode("utf-8", "replace"))
        parser.close()
    except (etree.LxmlError, AssertionError):  # it gave what it found before, and an empty page has nothing
        pass
    if page.asks.nofollow:
        return [], page.asks
    try:
        base = normal(page.base, address) if page.base else address
    except BadAddressError:
        base = address
    found: dict[str, None] = {}
    for link in page.links:
        try:
            found[normal(link, base, encoding)] = None
        except BadAddressError:  # mailto:, javascript: and the like
            continue
    return list(found), page.asks


def encoding_of(body: bytes, type_: str) -> str:
    """A codec of Python's."""
    for data in (type_.encode("ascii", "replace"), body[:HEAD]):
        if match := CHARSET.search(data):
            name = match[1].decode().lower()
            try:
                return codecs.lookup(WIDER.get(name, name)).name
            except LookupError:
                continue
    return "utf-8"


class _Page:
    """What lxml tells of a page while it reads it."""

    def __init__(self) -> None:
        self.links: list[str] = []
        self.base = ""
        self.asks = Asks()

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag in ("a", "area"):
            if (href := attributes.get("href")) and "nofollow" not in attributes.get("rel", "").lower().split():
                self.links.append(href)
        elif tag == "base":
            self.base = self.base or attributes.get("href", "")
        elif tag == "meta" and attributes.get("name", "").strip().lower() in NAMES:
            self.asks = self.asks.plus(Asks.of(attributes.get("content", "")))

    def close(self) -> None:
        pass
