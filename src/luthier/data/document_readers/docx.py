"""Word documents: paragraphs and tables in their order, headings as in Markdown."""

from __future__ import annotations

from pathlib import Path

from luthier.core.document import Section
from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.data.document_readers import Found, needs

ENDINGS = (".docx",)


def read(path: Path) -> Found:
    """One section; a table's row is a line."""
    needs("docx", "python-docx")
    from docx import Document
    from docx.table import Table

    try:
        document = Document(str(path))
        title = (document.core_properties.title or "").strip()
        lines: list[str] = []
        for block in document.iter_inner_content():
            if isinstance(block, Table):
                lines += [" | ".join(cell.text.strip() for cell in row.cells) for row in block.rows]
                continue
            style = (block.style and block.style.name) or ""
            level = style.removeprefix("Heading ")
            lines.append(f"{'#' * int(level)} {block.text}" if style != level and level.isdigit() else block.text)
            title = title or (block.text.strip() if style == "Title" or level == "1" else "")
    except Exception as error:  # whatever zipfile, lxml or python-docx raise for a damaged file
        raise LuthierError(say("said_docs_word", reason=" ".join(str(error).split())[:120])) from None
    return [Section("\n\n".join(lines) + "\n", title=title)], []
