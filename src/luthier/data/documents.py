"""A folder of documents that questions are about: each file that the index has a reader for, inner folders too."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from luthier.errors import LuthierError
from luthier.protocols import Text

LIMIT_MB = 20  # of one file, as for an index


def read_documents(folder: Path, rows: Collection[Path] = ()) -> tuple[tuple[Text, ...], list[str]]:
    """One `Text` a file, in the order of their names, and what is to be said of files that were left out or mended.

    `source` is the path inside the folder. rows: files of questions and answers, which are no documents, wherever they
    lie: a test answer must not be found in one. Raises LuthierError for a folder that is not there, and for one that
    holds nothing to read.
    """
    from luthier.index.build import Report, find
    from luthier.index.readers import read_document

    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "is not there"
        raise LuthierError(f"--docs {folder}: it {what}; name a folder with documents")
    report, texts = Report(), []
    inside = {path.relative_to(folder).as_posix(): path for path in find([folder], report).values()}
    for name, path in sorted(inside.items()):
        if any(path.samefile(own) for own in rows):
            continue
        try:
            document = read_document(path, name, LIMIT_MB * 10**6)
        except (LuthierError, OSError) as error:
            report.problems[name] = str(error)
            continue
        report.notes |= {name: "; ".join(document.notes)} if document.notes else {}
        text = "\n\n".join(section.text for section in document.sections)
        texts.append(Text(text.replace("\r\n", "\n"), name))
    if not texts:
        why = (_said(report.problems) or ["only the questions are there"])[0]
        raise LuthierError(f"--docs {folder}: nothing in it can be read: {why}")
    left = [f"--docs: {line}: left out" for line in _said(report.problems)]
    return tuple(texts), left + [f"--docs: {line}" for line in _said(report.notes)]


def _said(found: dict[str, str]) -> list[str]:
    return [f"{name}: {what}" for name, what in found.items()]
