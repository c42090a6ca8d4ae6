"""Chinese poems (三百唐诗, 宋诗), proverbs, classics and pages about Debian, 5,600 pieces of together 2.2 MB."""

from __future__ import annotations

import re
from pathlib import Path

from luthier.pretrain import debian

LANGUAGE = "zh"
LICENCE = "GPL-3.0-or-later"
SOURCE = "Debian's package fortunes-zh 2.98"
ADDRESSES = (
    "http://deb.debian.org/debian/pool/main/f/fortune-zh/fortunes-zh_2.98_all.deb",
    "https://snapshot.debian.org/file/7d9ffd17c8bf7c70b4ce3f22fff394f854968788",  # once the pool has another version
)
FILE = "fortunes-zh_2.98_all.deb"
SHA256 = "211c5ddee59d0ae74ce01cbfd02f7c8714740bae1835d5661eb2254edd739105"
FOLDER, INDEX = "usr/share/games/fortunes", ".dat"  # where pieces begin, for the program that shows them
_COLOURS = re.compile(r"\x1b\[[0-9;\x1b\[]*m")


def read(archive: Path) -> list[tuple[str, str]]:
    """Names and texts of the pieces, in the order of the files, without the terminal's colours."""
    found = []
    for name, data in debian.files(archive, FOLDER):
        if not name.endswith(INDEX):
            pieces = re.split(r"^%\n", data.decode(), flags=re.MULTILINE)
            found += [(f"{name} {at}", _COLOURS.sub("", piece)) for at, piece in enumerate(pieces)]
    return found
