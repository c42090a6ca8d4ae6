"""PDF: the text layer, a section a page."""

from __future__ import annotations

import logging
from pathlib import Path

from luthier.core.document import Section
from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.data.document_readers import Found, needs

ENDINGS = (".pdf",)


def read(path: Path) -> Found:
    """Pages without a text layer, and pages that cannot be read, are noted."""
    needs("pypdf", "pypdf")
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what is wrong is said once, by us
    sections: list[Section] = []
    notes: list[str] = []
    bare: list[int] = []
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise LuthierError(say("said_docs_password"))
        title = str((reader.metadata and reader.metadata.title) or "").strip()
        count = len(reader.pages)
    except LuthierError:
        raise
    except Exception as error:  # a broken PDF makes pypdf raise whatever its parser stumbles over
        raise LuthierError(say("said_docs_pdf", reason=_said(error))) from None
    for number in range(count):
        try:
            text = reader.pages[number].extract_text()
        except Exception as error:
            notes.append(say("said_docs_page", page=number + 1, reason=_said(error)))
            continue
        text = text.replace("\0", "")
        if text.strip():
            sections.append(Section(text, f"page {number + 1}", title))
        else:
            bare.append(number + 1)
    if bare:
        shown = ", ".join(map(str, bare[:5])) + (" …" if len(bare) > 5 else "")
        notes.append(say("said_docs_scanned", count=len(bare), pages=count, shown=shown))
    if not sections and notes:
        raise LuthierError(notes[0])
    return sections, notes


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
