"""The King James Version of the Bible (1611), 66 books of together 4.4 MB, a verse a line."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.pretrain import debian

LANGUAGE = "en"
LICENCE = "public domain"
SOURCE = "Debian's package bible-kjv-text 4.38"
ADDRESSES = (
    "http://deb.debian.org/debian/pool/main/b/bible-kjv/bible-kjv-text_4.38_all.deb",
    "https://snapshot.debian.org/file/1666fa8517505735afa6b63c149d7879c42fb1a2",  # once the pool has another version
)
FILE = "bible-kjv-text_4.38_all.deb"
SHA256 = "d61b6aad4c51ba9e2800b825325fa6a09e99a0d02a9bb6dc4724fcc4995a1b7a"
FOLDER, DATA = "usr/lib", "bible.data"
KIND, INDEX = b"EC02Compressed Data File", 0x58  # how the file begins; where it says how many blocks lie where
FIRST, WIDEST = 257, 16  # the first code of a string (256 empties the table); bits of a code, at most
_VERSE = re.compile(r"^(\d?[A-Za-z]+)(\d+):(\d+) (.*)$", re.MULTILINE)


def read(archive: Path) -> list[tuple[str, str]]:
    """Names and texts of the books: each verse a line, behind chapter and verse."""
    data = dict(debian.files(archive, FOLDER)).get(DATA, b"")
    verses = _VERSE.findall(b"".join(_blocks(data)).decode("latin-1"))
    if not verses:
        raise LuthierError(f"{archive}: {DATA} holds no verses that can be read")
    return [
        (book, "\n".join(f"{chapter}:{verse} {text}" for _, chapter, verse, text in own))
        for book, own in groupby(verses, key=lambda found: str(found[0]))
    ]


def _blocks(data: bytes) -> Iterator[bytes]:
    """The blocks of the file, each packed by itself."""
    if data.startswith(KIND):
        (count,) = struct.unpack_from(">I", data, INDEX)
        for low, high in pairwise(struct.unpack_from(f">{count + 1}I", data, INDEX + 4)):
            yield unpacked(data[low:high])


def unpacked(data: bytes) -> bytes:
    """What Unix `compress` packed, without the three bytes that begin its files. Source: Welch 1984, LZW.

    Codes grow from 9 bits to 16; they come in groups of eight, and a group that is left early is filled up.
    """
    table = [bytes([byte]) for byte in range(256)] + [b""]
    out: list[bytes] = []
    before, bits, at, begun = b"", 9, 0, 0  # places in bits
    while at + bits <= 8 * len(data):
        code = (int.from_bytes(data[at >> 3 : (at >> 3) + 4], "little") >> (at & 7)) & ((1 << bits) - 1)
        at += bits
        if code == 256:
            at, table, before = _group(begun, at, bits), table[:FIRST], b""
            begun, bits = at, 9
            continue
        if code > len(table) - (not before):
            raise LuthierError("packed text is damaged")
        piece = table[code] if code < len(table) else before + before[:1]
        if before and len(table) < 1 << WIDEST:
            table.append(before + piece[:1])
        out.append(piece)
        before = piece
        if len(table) >= 1 << bits and bits < WIDEST:
            begun = at = _group(begun, at, bits)
            bits += 1
    return b"".join(out)


def _group(begun: int, at: int, bits: int) -> int:
    """Where the group of eight codes ends that the place `at` is in."""
    return begun + -(-(at - begun) // (8 * bits)) * 8 * bits
