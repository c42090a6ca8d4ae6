"""What is in a package of Debian, read with the standard library: nothing is installed and nothing of it is run.

A package is an `ar` archive (deb(5)): debian-binary, control.tar.*, data.tar.*; the last holds the files.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from luthier.core.errors import LuthierError

MAGIC, HEADER = b"!<arch>\n", 60  # bytes before the first member; of each member's header


def files(archive: Path, folder: str) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the plain files in a folder of the package, by name; links are left out. Raises LuthierError.

    folder: as it would be installed, without a slash at its ends.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(_data(archive))) as tar:
            members = {PurePosixPath(m.name): m for m in tar.getmembers() if m.isfile()}
            for path in sorted(p for p in members if p.parent == PurePosixPath(folder)):
                if (file := tar.extractfile(members[path])) is not None:
                    yield path.name, file.read()
    except (ValueError, EOFError, OSError, tarfile.TarError) as error:
        raise LuthierError(f"{archive}: no package of Debian that can be read: {error}") from None


def _data(archive: Path) -> bytes:
    """The archive of files in it."""
    whole = archive.read_bytes()
    if not whole.startswith(MAGIC):
        raise ValueError("it does not begin as an ar archive")
    at = len(MAGIC)
    while at + HEADER <= len(whole):
        name, size = whole[at : at + 16].rstrip(b" /"), int(whole[at + 48 : at + 58])
        at += HEADER
        if name.startswith(b"data.tar"):
            return whole[at : at + size]
        at += size + size % 2
    raise ValueError("it has no data.tar")
