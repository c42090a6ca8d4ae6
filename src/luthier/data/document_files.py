"""Which files of some folders are documents that can be read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.data.document_readers import endings


@dataclass
class Found:
    """What is to be said of files, by name: problems of those that are left out, notes on those that are read.

    unread: how many files of each ending no reader takes.
    """

    problems: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    unread: dict[str, int] = field(default_factory=dict)


def label(path: Path) -> str:
    """The name of a file in the index: relative to the current folder where it lies in it."""
    whole = plain(path)
    return (whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole).as_posix()


def plain(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))  # one name a file, without ".."; links stay as they are named


def find(docs: Iterable[Path], report: Found) -> dict[str, Path]:
    """Files by name, in order. A folder gives all in it that have a reader; what lies in hidden folders is left out.

    A link to a file is read as a file; one to a folder is not followed, and what cannot be looked into is a problem.
    """
    out: dict[str, Path] = {}
    for top in docs:
        if not top.exists():
            raise LuthierError(f"{top}: no such file or folder")
        if top.is_file():
            if top.suffix.lower() not in endings():
                raise LuthierError(f"{top}: no reader for {top.suffix or 'a file without an ending'}; read are "
                                   f"{', '.join(endings())}")  # fmt: skip
            out[label(top)] = top
            continue
        for path in _below(top, report):
            if path.suffix.lower() in endings():
                out[label(path)] = path
            else:
                ending = path.suffix.lower() or "no ending"
                report.unread[ending] = report.unread.get(ending, 0) + 1
    if not out:
        raise LuthierError(f"nothing to read in {', '.join(map(str, docs))}; read are {', '.join(endings())}")
    return dict(sorted(out.items()))


def _below(top: Path, report: Found) -> Iterator[Path]:
    def closed(error: OSError) -> None:
        report.problems[label(Path(error.filename))] = str(error.strerror)

    for folder, folders, names in os.walk(top, onerror=closed):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(folder, name) for name in (*folders, *names) if not name.startswith(".")):
            if path.name in folders:
                if path.is_symlink():
                    report.notes[label(path)] = say("said_docs_link")
            elif os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises in a folder that is closed
                yield path
            elif path.suffix.lower() in endings():
                report.problems[label(path)] = say("said_docs_closed")
