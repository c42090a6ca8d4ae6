"""HTML and web pages saved to disk: what a reader of the page sees, without scripts and navigation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from luthier.core.document import Section
from luthier.core.phrases import say
from luthier.data.document_readers import Found, needs

ENDINGS = (".html", ".htm", ".xhtml")
UNSEEN = [
    "title",
    "script",
    "style",
    "noscript",
    "template",
    "svg",
    "nav",
    "header",
    "footer",
    "aside",
    "input",
    "select",
    "textarea",
    "button",
    "iframe",
]
BLOCKS = {
    "p", "div", "section", "article", "main", "ul", "ol", "li", "table", "tr", "h1", "h2", "h3", "h4", "h5", "h6",
    "blockquote", "figure", "figcaption", "dl", "dt", "dd", "pre", "br", "hr", "body",
}  # fmt: skip


def read(path: Path) -> Found:
    """One section; blocks on lines of their own, code in Markdown's fences, so that it is not cut."""
    needs("bs4", "beautifulsoup4")
    import logging
    import warnings

    from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning

    logging.getLogger("bs4.dammit").setLevel(logging.CRITICAL)  # what could not be decoded is said once, by us
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        soup = BeautifulSoup(path.read_bytes(), "html.parser")  # finds the encoding: mark, <meta>, then by likelihood
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    articles = soup.find_all("article")
    body = soup.find("main") or (articles[0] if len(articles) == 1 else soup.body) or soup
    for tag in body.find_all(UNSEEN):
        tag.decompose()
    lines: list[str] = [""]
    _walk(body, lines)
    text = "\n".join(line.rstrip() if fenced else " ".join(line.split()) for line, fenced in _fences(lines))
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    notes: list[str] = [say("said_docs_characters")] if soup.contains_replacement_characters else []
    return [Section(text.strip() + "\n", title=title)], notes


def _walk(top: Any, lines: list[str]) -> None:
    """Append the text below a tag; without recursion, since pages nest thousands of tags."""
    from bs4.element import NavigableString, PreformattedString

    todo: list[Any] = [top]
    while todo:
        node = todo.pop()
        if node is None:  # the end of a block
            lines.append("")
        elif isinstance(node, NavigableString):
            if not isinstance(node, PreformattedString):  # comments, doctypes
                lines[-1] += str(node).replace("\n", " ")
        elif node.name == "pre":
            lines += ["```", *node.get_text().strip("\n").split("\n"), "```", ""]
        else:
            if node.name in ("td", "th"):  # cells of a row stay on its line
                lines[-1] += " "
            elif node.name in BLOCKS:
                if lines[-1].strip():
                    lines.append("")
                todo.append(None)
            todo += reversed(list(node.children))


def _fences(lines: list[str]) -> list[tuple[str, bool]]:
    """Each line, and whether it stands in code."""
    inside, out = False, []
    for line in lines:
        edge = line == "```"
        out.append((line, inside or edge))
        inside = inside != edge
    return out
