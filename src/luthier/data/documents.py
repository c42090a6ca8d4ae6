"""A folder of documents that questions are about: each file that the index has a reader for, inner folders too.

Answers must not get in by the side door: rows (.jsonl) are no documents, nor is what Luthier wrote (runs, comparisons),
nor the file or the data set of the questions, nor a copy of it.
"""

from __future__ import annotations

import filecmp
from collections.abc import Collection
from functools import reduce
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.core.phrases import of_error, say
from luthier.core.records import Text

LIMIT_MB = 20  # of one file, as for an index
GENERATOR = b'<meta name="generator" content="Luthier">'  # near the top of every page of ours
WRITTEN = ("environment.json", "request.json")  # in a folder of a run, a comparison or a study


def read_documents(folder: Path, rows: Collection[Path] = ()) -> tuple[tuple[Text, ...], list[str]]:
    """One `Text` a file, in the order of their names, and what is to be said of files that were left out or mended.

    `source` is the path inside the folder. rows: files and folders of the questions. Raises LuthierError for a folder
    that is not there, and for one that holds nothing to read.
    """
    from luthier.data.document_files import Found, find
    from luthier.data.document_readers import read_document

    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "is not there"
        raise LuthierError(f"--docs {folder}: it {what}; name a folder with documents")
    report, texts = Found(), []
    inside = {path.relative_to(folder).as_posix(): path for path in find([folder], report).values()}
    for name, path in sorted(inside.items()):
        if why := _no_document(path, folder, rows):
            report.problems[name] = why
            continue
        try:
            document = read_document(path, name, LIMIT_MB * 10**6)
        except (LuthierError, OSError) as error:
            report.problems[name] = of_error(error)
            continue
        report.notes |= {name: reduce(_and, document.notes)} if document.notes else {}
        text = "\n\n".join(section.text for section in document.sections)
        texts.append(Text(text.replace("\r\n", "\n"), name))
    if not texts:
        raise LuthierError(f"--docs {folder}: nothing in it can be read: {_said(report.problems)[0]}")
    left: list[str] = [say("said_docs_left_out", note=note) for note in _said(report.problems)]
    return tuple(texts), [*left, *(say("said_docs", note=note) for note in _said(report.notes))]


def _no_document(path: Path, top: Path, rows: Collection[Path]) -> str:
    """Why a file is not taken for a document; "" where it is one."""
    if path.suffix.lower() == ".jsonl":
        return say("said_docs_rows")
    if path.suffix.lower() in (".html", ".htm") and GENERATOR in _head(path):
        return say("said_docs_ours")
    above = [p for p in path.parents if p == top or p.is_relative_to(top)]
    if any((p / name).exists() for p in above for name in WRITTEN):
        return say("said_docs_ours")
    if any(path.resolve().is_relative_to(own.resolve()) for own in rows if own.is_dir()):
        return say("said_docs_set")
    if any(path.samefile(own) or filecmp.cmp(path, own, shallow=False) for own in rows if own.is_file()):
        return say("said_docs_questions")
    if (size := path.stat().st_size) > LIMIT_MB * 10**6:
        return say("said_docs_large", size=f"{size / 1e6:.3g}", limit=LIMIT_MB)
    return ""


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(2000)
    except OSError:  # reading it says why
        return b""


def _and(one: str, other: str) -> str:
    return say("said_and", one=one, other=other)


def _said(found: dict[str, str]) -> list[str]:
    return [say("said_in_file", file=name, note=what) for name, what in found.items()]
