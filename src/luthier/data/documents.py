"""A folder of documents that questions are about: every .txt and .md file in it, folders within folders included."""

from __future__ import annotations

from pathlib import Path

from luthier.errors import LuthierError
from luthier.protocols import Text

ENDINGS = (".txt", ".md")


def read_documents(folder: Path) -> tuple[Text, ...]:
    """One `Text` a file, in the order of their names; `source` is the path inside the folder.

    Raises LuthierError for a folder that is not there or holds no such file, and for a file that is empty or not UTF-8.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "is not there"
        raise LuthierError(f"--docs {folder}: it {what}; name a folder with .txt and .md files")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())
    if not files:
        raise LuthierError(f"--docs {folder}: no .txt or .md file is in it")
    return tuple(Text(_read(file), file.relative_to(folder).as_posix()) for file in files)


def _read(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise LuthierError(
            f"{file}: not UTF-8 text (byte {error.start}): save it as UTF-8, or take it out of the folder"
        ) from None
    except OSError as error:
        raise LuthierError(f"{file}: {error.strerror or error}") from None
    if not text.strip():
        raise LuthierError(f"{file}: the file is empty: take it out of the folder")
    return text.replace("\r\n", "\n")
