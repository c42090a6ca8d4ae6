"""Stack Exchange's Posts.xml: a question with its answers is a document, the accepted answer first, then by score.

Answers come anywhere behind their question, so all posts are first put into a temporary database, about as large as
the file, where TMPDIR says; memory holds one question. A helper of `xml`.
"""

from __future__ import annotations

import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.corpus.reading import LARGEST, Bad, Row
from luthier.corpus.reading.xml_events import Event, unescaped

KIND = "conversation"
QUESTION, ANSWER = "1", "2"  # of PostTypeId
BLOCKS = ("p", "div", "li", "ul", "ol", "blockquote", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "tr", "table")
_TAG = re.compile(r"<!--(?:[^-]|-(?!->)){0,300}+-->|</?([a-zA-Z][a-zA-Z0-9]*+)[^<>]*+>")
_TABLE = """
create table posts (id integer primary key, question integer, accepted integer, score integer, title text, body text,
                    licence text)
"""


def threads(top: Event, found: Iterator[Event]) -> Iterator[Row | Bad]:
    """The documents of a dump of posts whose outermost element is `top`; those before a fault, then the fault."""
    with (
        tempfile.TemporaryDirectory(prefix="luthier-posts-") as folder,
        closing(sqlite3.connect(Path(folder) / "posts.db")) as base,
    ):
        base.execute("pragma journal_mode = off")
        base.execute("pragma synchronous = off")
        base.execute(_TABLE)
        fault = None
        try:
            yield from _stored(base, found)
        except LuthierError as error:
            fault = error
        base.execute("create index answers on posts (question)")
        yield from _documents(base)
        if fault is not None:
            raise fault


def _stored(base: sqlite3.Connection, found: Iterator[Event]) -> Iterator[Bad]:
    """Put the posts into the database; gives what is none."""
    insert = "insert or ignore into posts values (?, ?, ?, ?, ?, ?, ?)"
    for event in found:
        if not event.opens or event.name != "row":
            continue
        said = event.attributes
        place = f"post {said.get('Id', '')[:20]}"
        if said.get("PostTypeId") not in (QUESTION, ANSWER):
            yield Bad("no_post", "neither a question nor an answer", place)
            continue
        number, accepted, score = (_number(said.get(name)) for name in ("Id", "AcceptedAnswerId", "Score"))
        question = _number(said.get("ParentId")) if said["PostTypeId"] == ANSWER else 0
        if not number or question is None or (said["PostTypeId"] == ANSWER and not question):
            yield Bad("broken_row", "a post without a number of its own or of its question", place)
            continue
        title, body = " ".join(unescaped(said.get("Title", "")).split()), text_of(said.get("Body", ""))
        if base.execute(insert, (number, question, accepted, score or 0, title, body, _licence(said))).rowcount < 1:
            yield Bad("broken_row", "another post has this number", place)


def _documents(base: sqlite3.Connection) -> Iterator[Row | Bad]:
    answers = "select body, licence from posts where question = ? order by id = ? desc, score desc, id"
    for number, accepted, title, body, licence in base.execute(
        "select id, accepted, title, body, licence from posts where question = 0 order by id"
    ):
        parts, licences = [f"Q: {title}\n\n{body}" if title else f"Q: {body}"], {licence}
        size = 0
        for answer, own in base.execute(answers, (number, accepted)):
            parts.append(f"A: {answer}")
            licences.add(own)
            size += len(answer)
            if size > LARGEST:  # such a document is refused, and need not be whole for that
                break
        place = f"post {number}"
        yield Row("\n\n".join(parts), place, str(number), KIND, "", " AND ".join(sorted(filter(None, licences))))
    lost = "select id from posts as answer where question != 0 and not exists (select 1 from posts as asked"
    for (number,) in base.execute(f"{lost} where asked.id = answer.question and asked.question = 0) order by id"):
        yield Bad("no_question", "the question of this answer is not in the file", f"post {number}")


def _number(said: str | None) -> int | None:
    return int(said) if said and re.fullmatch(r"-?[0-9]{1,18}", said) else None


def _licence(said: dict[str, str]) -> str:
    """As SPDX writes it: CC BY-SA 4.0 is CC-BY-SA-4.0."""
    return "-".join(said.get("ContentLicense", "")[:40].split())


def text_of(html: str) -> str:
    """The text of a post's HTML, code in fences. Its time grows with the text alone, as html.parser's may not."""
    out: list[str] = []
    at = 0
    for found in _TAG.finditer(html):
        out.append(html[at : found.start()])
        at, name = found.end(), (found[1] or "").lower()
        if name == "pre":
            out.append("\n\n```\n" if found[0][1] != "/" else "\n```\n\n")
        elif name == "li":
            out.append("\n- " if found[0][1] != "/" else "")
        elif name in BLOCKS:
            out.append("\n\n" if name in ("p", "blockquote") else "\n")
    out.append(html[at:])
    text = re.sub(r"(?<![ \t])[ \t]++\n", "\n", unescaped("".join(out)))
    text = re.sub(r"\n{3,}", "\n\n", text)
    return re.sub(r"\n\n```(?=\n\n|$)", "\n```", text).strip()
