"""Web pages: the main text, without navigation, banners and footers, by resiliparse.

On the twelve pages of our test it (with our lists and UNSEEN) and trafilatura both find what is wanted, but trafilatura
keeps 23 of 86 parts of frames, and of short pages the banner. It keeps paragraphs apart, is ten times faster, and its
time has a bound; trafilatura takes more than 20 s for 20,000 lists. On 60 news pages of others trafilatura leaves out
more (precision 0.95 to 0.90 at the same recall): what remains of frames is for the rules and for `sentences`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from luthier.core.errors import LuthierError
from luthier.corpus.reading import Bad, Row, Source, TooLargeError
from luthier.data.document_readers import needs
from luthier.data.encoding import document

ENDINGS = (".html", ".htm", ".xhtml")
KIND = "html"
LARGEST = 16 << 20  # bytes of a page
DEEPEST = 128  # tags in tags: time grows with it, and pages seldom have 40
UNSEEN = ["body > header", "nav", "footer", "[role=search]", "[class*=breadcrumb]"]
UNSEEN += [f"[{name}*=cookie-{kind}]" for name in ("class", "id") for kind in ("consent", "banner", "notice")]
_TOO_DEEP = " > ".join(["*"] * (DEEPEST + 1))
_TAG = re.compile(r"<[^<>]*>")
_LINK = re.compile(r"<a[\s>]|</a>")
_META = re.compile(rb"""<(?:meta|\?xml)[^<>]{0,300}?(?:charset|encoding)\s{0,9}=[\s"']{0,9}([\w.:-]{2,40})""", re.I)
_EMPTY = re.compile(r"<(a|b|div|em|i|iframe|p|script|span|strong|style|sup|textarea|title)(\s[^<>]*)?/>", re.I)
_SCRIPT = re.compile(r"<script\b[^>]*+>(?:[^<]++|<(?!/script))*+(?:</script[^<>]*+>?|\Z)", re.I)
_CROWDED = re.compile(
    r"""<[a-z][^\s/>]*+(?>[\s/]++[^\s/>=]++(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>"'][^\s>]*+)?)?+){1000}""", re.I
)
_WIDER = {"gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs"}  # which browsers read, too


@dataclass(frozen=True)
class Page:
    """A page. language: as it says, two letters, or ""."""

    text: str
    title: str
    language: str


def read(source: Source) -> Iterator[Row | Bad]:
    yield row_of(source.whole())


def row_of(data: bytes, place: str = "", charset: str = "") -> Row | Bad:
    """The document of a page's bytes. charset: as its server says. Raises LuthierError."""
    page = page_of(text_of(data, charset))
    if not page.text:
        return Bad("no_text", "the page has no text outside of its frame", place)
    return Row(page.text, place, kind=KIND, language=page.language)


def text_of(data: bytes, charset: str = "") -> str:
    """A page's bytes as text: by UTF-8, by what its server or itself names, by evidence. Raises LuthierError."""
    needs("resiliparse", "resiliparse")
    from resiliparse.parse.encoding import map_encoding_to_html5

    if len(data) > LARGEST:
        raise TooLargeError(f"a page of more than {LARGEST >> 20} MB")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or 100 * data.count(0) > len(data):
        return document(data)[0]  # UTF-16, or no text
    data = data.replace(b"\0", b"")
    if b"\x1b$" not in data:  # ISO-2022, whose bytes are ASCII
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            pass
    for name in (charset, *(match[1].decode() for match in _META.finditer(data[:4096]))):
        codec = map_encoding_to_html5(name, fallback_utf8=False) or "utf-16"
        if codec.startswith("utf-16"):  # a page that names it in ASCII is none
            continue
        text = data.decode(_WIDER.get(codec, codec), "replace")
        if 100 * text.count("\ufffd") <= len(text):
            return text
    return document(data)[0]


def page_of(html: str, main: bool = True) -> Page:
    """What a reader of a page sees. main: without what stands around it; else it is a book's chapter, in XML.

    Raises LuthierError.
    """
    needs("resiliparse", "resiliparse")
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    if not main or html.lstrip().startswith("<?xml"):
        html = _EMPTY.sub(r"<\1\2></\1>", html)  # HTML has no empty elements: <title/> would take in the whole page
    if _CROWDED.search(html):
        html = _SCRIPT.sub(" ", html)  # a program's `a<b` is like a tag
        if _CROWDED.search(html):
            raise LuthierError("a tag has a thousand attributes")
    tree = HTMLTree.parse(html)
    root: Any = tree.document
    if root.query_selector(_TOO_DEEP) is not None:
        raise LuthierError(f"tags stand more than {DEEPEST} deep in each other")
    top = root.query_selector("html")
    said = (top.getattr("lang") or top.getattr("xml:lang") or "") if top is not None else ""
    if main:
        _keep_lists(tree)
    text = extract_plain_text(
        tree, preserve_formatting=True, main_content=main, alt_texts=False, comments=not main, post_meta=not main,
        skip_elements=UNSEEN if main else ["nav"],
    )  # fmt: skip
    return Page(text.strip(), " ".join((tree.title or "").split()), two_letters(said))


def two_letters(said: str) -> str:
    """The language of a tag such as zh-CN, "" where it has not two letters."""
    found = re.match(r"\s*([a-z]{2})(?![a-z])", said.lower())
    return found[1] if found else ""


def _keep_lists(tree: Any) -> None:
    """Put lists that are not of links deeper: resiliparse takes any list near the top for navigation."""
    for found in _shallow_lists(tree.body):
        parts = [len(_TAG.sub("", part)) for part in _LINK.split(found.html)]  # the collections of its DOM are slower
        if sum(parts[1::2]) >= sum(parts[::2]):
            continue
        outer = inner = tree.create_element("div")
        for _ in range(2):
            inner = inner.append_child(tree.create_element("div"))
        found.parent.replace_child(outer, found)
        inner.append_child(found)


def _shallow_lists(body: Any) -> list[Any]:
    """Lists that have fewer than three tags between them and the body."""
    found: list[Any] = []
    level = [] if body is None else [body]
    for _ in range(3):
        below: list[Any] = []
        for node in level:
            child = node.first_element_child
            while child is not None:
                (found if child.tag == "ul" else below).append(child)
                child = child.next_element_sibling
        level = [node for node in below if node.tag not in ("nav", "header", "footer")]
    return found
