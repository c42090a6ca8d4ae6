"""Packages of Debian read by the standard library, and the texts that come in them."""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.core import plugins
from luthier.core.errors import LuthierError
from luthier.pretrain import debian
from luthier.pretrain.fetching import fetched
from luthier.pretrain.texts import bible_kjv, fortunes_zh


def packed(text: bytes, empties: bool = True) -> bytes:
    """Unix `compress`, as its page tells it, without the first three bytes; empties: the table once, in between."""
    table = {bytes([byte]): byte for byte in range(256)}
    codes: list[tuple[int, int]] = []
    word, size, bits, begun = b"", 257, 9, 0

    def write(code: int) -> None:
        nonlocal begun, bits, size, table
        codes.append((code, bits))
        if code == 256:
            begun += filled(codes, begun)
            table, size, bits = {bytes([byte]): byte for byte in range(256)}, 256, 9

    def filled(told: list[tuple[int, int]], start: int) -> int:
        """Fill a group of eight up; gives how many codes lie since `start`."""
        while (len(told) - start) % 8:
            told.append((0, told[-1][1]))
        return len(told) - start

    for at, byte in enumerate(text):
        if word + bytes([byte]) in table:
            word += bytes([byte])
            continue
        write(table[word])
        if size < 1 << 16:
            table[word + bytes([byte])] = size
            size += 1
            if size > 1 << bits and bits < 16:
                begun += filled(codes, begun)
                bits += 1
        word = bytes([byte])
        if empties and at == len(text) // 2:
            write(table[word])
            write(256)
            size, word = 257, b""
            empties = False
    if word:
        write(table[word])
    whole, shift = 0, 0
    for code, width in codes:
        whole |= code << shift
        shift += width
    return whole.to_bytes(-(-shift // 8), "little")


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=3000).map(lambda data: bytes(b % 7 + 97 for b in data)))
def test_what_compress_packs_is_unpacked(text: bytes) -> None:
    assert bible_kjv.unpacked(packed(text, empties=False)) == text


def test_unpacking_is_gzips(tmp_path: Path) -> None:
    """Codes of 9 to 16 bits, a full table, and one that is emptied."""
    if not (program := shutil.which("gzip")):
        pytest.skip("gzip is not installed")
    text = bytes((at * at * 31 + at // 7) % 251 for at in range(250_000))
    for empties in (False, True):
        data = packed(text, empties)
        done = subprocess.run([program, "-dc"], input=b"\x1f\x9d\x90" + data, capture_output=True, check=True)
        assert done.stdout == bible_kjv.unpacked(data) == text


PACKED: dict[str, Callable[[bytes], bytes]] = {"xz": lzma.compress, "gz": gzip.compress}


def package(path: Path, files: dict[str, bytes], ending: str = "xz") -> Path:
    """A package with these files, and a link that leads out of it."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("./usr/share/games/fortunes/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": b"odd",
        f"data.tar.{ending}": PACKED[ending](inner.getvalue()),
    }
    out = debian.MAGIC
    for name, data in parts.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    path.write_bytes(out)
    return path


@pytest.mark.parametrize("ending", ["xz", "gz"])
def test_files_of_a_folder_are_read(ending: str, tmp_path: Path) -> None:
    files = {"usr/lib/b": b"two", "usr/lib/a": b"one", "usr/lib/deep/c": b"three", "usr/a": b"four"}
    assert list(debian.files(package(tmp_path / "p.deb", files, ending), "usr/lib")) == [("a", b"one"), ("b", b"two")]


def test_poems_are_read_without_colours(tmp_path: Path) -> None:
    poem = "\x1b[32m《送别》\x1b[m\n\x1b[33m作者：王维\x1b[;\x1b[34;1m\n下马饮君酒\n%\n春眠不觉晓\n%\n"
    folder = "usr/share/games/fortunes"
    given = package(tmp_path / "p.deb", {f"{folder}/tang300": poem.encode(), f"{folder}/tang300.dat": b"\0\1"})
    found = fortunes_zh.read(given)
    assert found[:2] == [("tang300 0", "《送别》\n作者：王维\n下马饮君酒\n"), ("tang300 1", "春眠不觉晓\n")]


def test_verses_become_books(tmp_path: Path) -> None:
    verses = ["Textfile.\nGe1:1 In the beginning.\nGe1:2 And the ea", "rth.\n1Jn1:1 That is.\n"]
    blocks = [packed(text.encode(), empties=False) for text in verses]
    begun = bible_kjv.INDEX + 4 * (len(blocks) + 2)
    places = [begun, begun + len(blocks[0]), begun + len(blocks[0]) + len(blocks[1])]
    head = bible_kjv.KIND.ljust(bible_kjv.INDEX, b"\0") + struct.pack(">4I", 2, *places)
    given = package(tmp_path / "p.deb", {"usr/lib/bible.data": head + b"".join(blocks)})
    assert bible_kjv.read(given) == [
        ("Ge", "1:1 In the beginning.\n1:2 And the earth."),
        ("1Jn", "1:1 That is."),
    ]
    with pytest.raises(LuthierError, match=r"bible\.data holds no verses"):
        bible_kjv.read(package(tmp_path / "q.deb", {"usr/lib/bible.data": b"EC03"}))


NO_XZ = debian.MAGIC + b"data.tar.xz".ljust(48) + b"5         `\nabcde"


@pytest.mark.parametrize("data", [b"", b"!<arch>\n", b"PK\3\4", NO_XZ])
def test_what_is_no_package_is_said(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.deb").write_bytes(data)
    with pytest.raises(LuthierError, match=r"p\.deb: no package of Debian that can be read"):
        list(debian.files(tmp_path / "p.deb", "usr/lib"))


@pytest.mark.parametrize(("name", "count", "begins"), [("fortunes_zh", 5673, "要有礼貌"), ("bible_kjv", 66, "1:1 In ")])
def test_the_archive_has_it(name: str, count: int, begins: str) -> None:
    """From Debian's archive, or the cache; skipped without a network."""
    about = plugins.members("texts")[name]
    try:
        path = fetched(about.constants["FILE"], about.constants["SHA256"], addresses=about.constants["ADDRESSES"])
    except LuthierError as error:
        pytest.skip(str(error))
    found = about.load("read")(path)
    assert len(found) == count and found[0][1].startswith(begins) and not any("\x1b" in text for _, text in found)
