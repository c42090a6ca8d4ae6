"""Files as text. A format is a file here: ENDINGS, and `read(path) -> (sections, notes)`; nothing is registered.

A reader raises LuthierError with what is wrong with the file; whoever reads a folder reports it and goes on.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path

from luthier.core import plugins
from luthier.core.document import Document, Section
from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.data.radicals import written

Found = tuple[list[Section], list[str]]  # sections, notes


@cache
def endings() -> dict[str, str]:
    """Ending -> the module that reads it; found without importing the modules."""
    found = plugins.members("documents")
    return {ending: name for name, member in found.items() for ending in member.constants.get("ENDINGS", ())}


def read_document(path: Path, name: str, limit: int) -> Document:
    """The file under the name that citations use. limit: bytes; larger files are refused.

    Raises LuthierError, its message without the file's name, for what cannot be read or holds no text.
    """
    if name != _whole(name):
        raise LuthierError(say("said_docs_name"))
    size = path.stat().st_size
    if size == 0:
        raise LuthierError(say("said_docs_empty"))
    if size > limit:
        raise LuthierError(f"{size / 1e6:.3g} MB, more than {limit / 1e6:.3g} MB: split it, or raise --max-mb")
    read: Callable[[Path], Found] = plugins.members("documents")[endings()[path.suffix.lower()]].load("read")
    try:
        sections, notes = read(path)
    except (LuthierError, OSError):
        raise
    except Exception as error:  # whatever the library of a format stumbles over in a damaged file
        raise LuthierError(say("said_docs_broken", reason=" ".join(str(error).split())[:120])) from None
    kept = tuple(
        Section(written(_whole(s.text)), s.name, written(_whole(s.title)), tuple(map(_whole, s.tags)))
        for s in sections
        if s.text.strip()
    )
    if not kept:
        raise LuthierError(say("said_docs_no_text"))
    return Document(name, kept, tuple(notes))


def _whole(text: str) -> str:
    """The text, of the same length, without half characters such as JSON's "\\ud800", which no file can hold."""
    return text.encode("utf-8", "replace").decode()


def needs(module: str, package: str) -> None:
    """Raise LuthierError with the command that installs what a format needs."""
    if importlib.util.find_spec(module) is None:
        raise LuthierError(say("said_docs_needs", package=package))
