"""Questions whose source is known: from a file, and those on the bundled handbook."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from luthier.core.errors import LuthierError


@dataclass(frozen=True)
class Question:
    """A question and the files that hold its answer."""

    text: str
    sources: tuple[str, ...]


def read_questions(path: Path) -> list[Question]:
    """JSON Lines of {question, source}; source is a file's name, or several. Raises LuthierError, naming the line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise LuthierError(f"{path}: the questions cannot be read: {error}") from None
    out = [_question(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not out:
        raise LuthierError(f"{path}: no question is in it")
    return out


def _question(line: str, where: str) -> Question:
    try:
        row = json.loads(line)
        text, source = row["question"], row["source"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise LuthierError(f'{where}: write {{"question": "…", "source": "file"}}') from None
    sources = source if isinstance(source, list) else [source]
    if not (isinstance(text, str) and text.strip() and sources and all(isinstance(s, str) and s for s in sources)):
        raise LuthierError(f"{where}: question must be a text, source a file's name or a list of names")
    return Question(text, tuple(sources))


def handbook() -> list[Question]:
    """The bundled questions, English and Chinese, on the documents of the embedded set `handbook`."""
    from luthier.data import embedded

    found = embedded.find("handbook")
    assert found is not None
    return read_questions(found.paths[0])
