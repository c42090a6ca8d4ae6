"""Web archives (WARC; WET, too): each page, plain text and PDF that a server answered with is a document.

fastwarc is given what Python unpacked: left to unpack gzip itself, it is silent about a file that breaks off early in a
member. It reads records as they stand; chunks and packed bodies are undone here, up to a bound. A record that is
shorter than it says ends the file.
"""

from __future__ import annotations

import re
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from luthier.core.errors import LuthierError
from luthier.corpus.reading import LARGEST, Bad, Row, Source, rows_of
from luthier.corpus.reading import html as pages
from luthier.corpus.reading.packed import FAULTS, reading
from luthier.data.document_readers import needs
from luthier.data.encoding import document

ENDINGS = (".warc", ".wet")
KIND = "html"
HTML, PLAIN, PDF = ("text/html", "application/xhtml+xml"), "text/plain", "application/pdf"
STEP = 1 << 13  # bytes
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{2,40})", re.I)


class _Forward:
    """A stream that is only read on, little at once: Arrow's lose a whole reading to a fault. fault: why it ended."""

    def __init__(self, file: IO[bytes]) -> None:
        self.at, self.fault = 0, ""
        self.some = reading(file)

    def read(self, size: int) -> bytes:
        try:
            data = b"" if self.fault else bytes(self.some(min(size, STEP)))
        except FAULTS as error:
            data, self.fault = b"", str(error) or "it breaks off"
        self.at += len(data)
        return data

    def tell(self) -> int:
        return self.at


def read(source: Source) -> Iterator[Row | Bad]:
    needs("fastwarc", "fastwarc")
    from fastwarc.warc import ArchiveIterator

    with source.open() as file:
        stream: Any = _Forward(file)
        records = iter(ArchiveIterator(stream, parse_http=True, auto_decode="none"))
        while True:
            try:
                record = next(records, None)
                if record is None:
                    break
                found = _found(record)
            except (OSError, ValueError) as error:
                stream.fault = stream.fault or str(error)
                break
            if isinstance(found, Bad) and found.reason == "broken_file":
                stream.fault = stream.fault or found.detail
                break
            if found is not None:
                yield found
        if not stream.at and not stream.fault:
            yield Bad("empty")
        elif stream.fault:
            yield Bad("broken_file", f"what follows is lost: {' '.join(stream.fault.split())[:120]}")


def _found(record: Any) -> Row | Bad | None:
    """What a record holds; None for one that only speaks of others."""
    kind = str(record.headers.get("WARC-Type") or "").strip().lower()
    place = str(record.headers.get("WARC-Target-URI") or "").strip("<>").encode("utf-8", "replace").decode()[:2000]
    if not re.fullmatch(r"\d{1,15}", record.headers.get("Content-Length") or ""):
        return Bad("broken_file", "a record without a length", place)
    body = record.reader.read(LARGEST + 1)
    if len(body) < min(record.content_length, LARGEST):
        return Bad("broken_file", "a record breaks off", place)
    if kind in ("warcinfo", "request", "metadata"):
        return None
    if kind not in ("response", "resource", "conversion"):
        return Bad("not_text", f"a record of the kind {kind[:40] or 'none'}", place)
    if len(body) > LARGEST:
        return Bad("too_large", f"more than {LARGEST >> 20} MB", place)
    if record.http_headers is None:
        if kind == "response":
            return Bad("not_text", "no answer of a web server", place)
        return _document(body, str(record.headers.get("Content-Type") or ""), place)
    status = record.http_headers.status_code
    if status != 200:
        return Bad("status", str(status or "none"), place)
    said = {str(name).lower(): str(value) for name, value in record.http_headers.items()}
    try:
        return _document(_unpacked(body, said), said.get("content-type", ""), place)
    except LuthierError as error:
        return Bad("unreadable", str(error), place)


def _document(body: bytes, said: str, place: str) -> Row | Bad:
    """The document of a body. said: its Content-Type."""
    kind = said.partition(";")[0].strip().lower()
    charset = _CHARSET.search(said)
    named = charset[1] if charset else ""
    try:
        if kind in HTML:
            return pages.row_of(body, place, named)
        if kind == PLAIN:
            return Row(pages.text_of(body, named) if named else document(body)[0], place, kind="text")
    except LuthierError as error:
        return Bad("unreadable", str(error), place)
    if kind == PDF:
        return _pdf(body, place)
    return Bad("not_text", kind[:80] or "no type is named", place)


def _pdf(body: bytes, place: str) -> Row | Bad:
    """The document of a PDF, which is read from a file."""
    with tempfile.TemporaryDirectory(prefix="luthier-") as folder:
        path = Path(folder) / "page.pdf"
        path.write_bytes(body)
        return replace(next(rows_of(Source(path, place))), place=place)


def _unpacked(body: bytes, said: dict[str, str]) -> bytes:
    """The body without chunks and packing. Raises LuthierError."""
    if said.get("transfer-encoding", "").strip().lower() == "chunked":
        body = _joined(body)
    packing = said.get("content-encoding", "").strip().lower()
    if packing in ("", "identity", "none"):
        return body
    if packing not in ("gzip", "x-gzip", "deflate"):
        raise LuthierError(f"packed by {packing[:20]}: only gzip and deflate are undone")
    for bits in (47, -15):  # gzip or zlib by its first bytes; bare, as some servers have it
        try:
            unpacker = zlib.decompressobj(bits)
            unpacked = unpacker.decompress(body, LARGEST + 1)
        except zlib.error:
            continue
        if len(unpacked) > LARGEST:
            raise LuthierError(f"more than {LARGEST >> 20} MB when unpacked")
        return unpacked
    return body  # crawlers unpack and leave the header


def _joined(body: bytes) -> bytes:
    """A body without the lengths of its chunks; one that has none stays as it is, since crawlers take them out."""
    parts: list[bytes] = []
    at = 0
    while found := _CHUNK.match(body, at):
        size = int(found[1], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(body[found.end() : found.end() + size])
        at = found.end() + size
        at += 2 if body[at : at + 2] == b"\r\n" else 1
    return b"".join(parts) if parts and at >= len(body) else body
