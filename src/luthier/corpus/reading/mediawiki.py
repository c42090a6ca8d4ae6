"""A wiki's dump: each article is a document; what else there is of pages is counted. A helper of `xml`.

A dump says nothing of its licence. Of several revisions the last one in the file is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from luthier.corpus.reading import Bad, Row
from luthier.corpus.reading.html import two_letters
from luthier.corpus.reading.wikitext import DROPPED, plain
from luthier.corpus.reading.xml_events import Event

KIND = "wiki"
_REDIRECT = re.compile(r"\s*#\s*redirect\b", re.I)


@dataclass
class _Page:
    said: dict[str, str] = field(default_factory=dict)  # by the name of an element
    redirect: bool = False


def pages(top: Event, found: Iterator[Event]) -> Iterator[Row | Bad]:
    """The documents of a dump whose outermost element is `top`."""
    language = two_letters(top.attributes.get("xml:lang", ""))
    dropped, key = set(DROPPED), ""
    page, in_revision = _Page(), False
    for event in found:
        if event.opens:
            if event.name == "page":
                page = _Page()
            elif event.name == "redirect":
                page.redirect = True
            elif event.name == "namespace":
                key = event.attributes.get("key", "")
            in_revision = in_revision or event.name == "revision"
        elif event.name == "page":
            yield _document(page, language, frozenset(dropped))
            page = _Page()
        elif event.name == "revision":
            in_revision = False
        elif event.name == "namespace" and key in ("6", "14"):  # files and categories, in the wiki's own language
            dropped.add(event.text.strip().lower())
        elif event.name in (("text", "model") if in_revision else ("title", "ns", "id")):
            page.said[event.name] = event.text


def _document(page: _Page, language: str, dropped: frozenset[str]) -> Row | Bad:
    said = page.said
    number, title, text = said.get("id", "").strip(), said.get("title", "").strip(), said.get("text", "")
    place = f"page {number}" if number else title[:200]
    if said.get("ns", "0").strip() != "0":
        return Bad("namespace", f"{title[:80]}: no article", place)
    if page.redirect or _REDIRECT.match(text):
        return Bad("redirect", title[:80], place)
    if said.get("model", "wikitext") != "wikitext":
        return Bad("not_text", f"{title[:80]}: {said['model'][:40]}", place)
    body = plain(text, dropped)
    if not body:
        return Bad("no_text", f"{title[:80]}: nothing but templates and tables", place)
    return Row(f"{title}\n\n{body}" if title else body, place, number, KIND, language)
