"""Plain text and Markdown: the file as it is, so that characters are counted as in an editor."""

from __future__ import annotations

import re
from pathlib import Path

from luthier.core.document import Section
from luthier.data.document_readers import Found
from luthier.data.encoding import document

ENDINGS = (".txt", ".md", ".markdown", ".rst")
HEADING = re.compile(r"^#{1,3}[ \t]+(.+?)[ \t#\r]*$", re.MULTILINE)


def read(path: Path) -> Found:
    """One section; the title is the first heading."""
    text, notes = document(path.read_bytes())
    return [Section(text, title=title_of(text, path.name))], notes


def title_of(text: str, name: str) -> str:
    """The first heading of a Markdown file; "" in others."""
    heading = HEADING.search(text) if name.lower().endswith((".md", ".markdown")) else None
    return heading[1].strip() if heading else ""
