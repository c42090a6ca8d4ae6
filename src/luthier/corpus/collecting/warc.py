"""WARC 1.1 (ISO 28500:2017): answers appended to DIR/warc/NNNNN.warc.gz, a gzip member a record.

    NNNNN.warc.gz   warcinfo, response, response, …

A record counts only when the state says so: `append` returns behind an fsync, the caller then commits where the file
ends, and `open` cuts off whatever is behind that. Bodies are stored unpacked; headers that spoke of the packed ones
keep their values under X-Crawler-…, as Common Crawl does, and cookies are left out.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from luthier.corpus.collecting.requesting import Answer
from luthier.io.files import damaged, sync_folder
from luthier.version import __version__

FOLDER = "warc"
LARGEST = 512 << 20  # bytes after which another file begins
CHANGED = ("content-encoding", "transfer-encoding", "content-length")
LEFT_OUT = ("set-cookie", "set-cookie2")


@dataclass(frozen=True)
class Place:
    """Of a record, or the end of what is valid (length 0)."""

    file: int = 0
    start: int = 0
    length: int = 0

    @property
    def end(self) -> Place:
        return Place(self.file, self.start + self.length)


class Writer:
    """Appends to the last file. end: what the state calls the end."""

    def __init__(self, folder: Path, end: Place, agent: str) -> None:
        """Cuts off what a killed process left behind the end. Raises LuthierError where records are missing."""
        self.folder, self.end, self.agent = folder / FOLDER, end, agent
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob("*.warc.gz"):
            if path.name > self._path(end.file).name:
                path.unlink()
        path = self._path(end.file)
        size = path.stat().st_size if path.exists() else 0
        if size < end.start:
            raise damaged(folder, f"{path.name} has {size} bytes and should have {end.start}")
        if size > end.start:
            os.truncate(path, end.start)
        sync_folder(self.folder)

    def _path(self, file: int) -> Path:
        return self.folder / f"{file:05d}.warc.gz"

    def append(self, address: str, answer: Answer) -> Place:
        """Write an answer so that it is on disk; gives where."""
        if self.end.start >= LARGEST:
            self.end = Place(self.end.file + 1)
        path = self._path(self.end.file)
        head = b"" if self.end.start else _info(path.name, self.agent)
        record = _response(address, answer)
        with path.open("ab") as file:
            file.write(head + record)
            file.flush()
            os.fsync(file.fileno())
        if head:
            sync_folder(self.folder)
        place = Place(self.end.file, self.end.start + len(head), len(record))
        self.end = place.end
        return place


def digest(data: bytes) -> str:
    """As WARC writes it."""
    return f"sha1:{base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()}"


def _response(address: str, answer: Answer) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {answer.phrase}".rstrip()]
    for key, value in answer.headers:
        if key.lower() not in LEFT_OUT:
            lines.append(f"{'X-Crawler-' if key.lower() in CHANGED else ''}{key}: {value}")
    lines.append(f"Content-Length: {len(answer.body)}")
    block = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + answer.body
    return _record(
        ("WARC-Type", "response"), ("WARC-Target-URI", address), ("WARC-IP-Address", answer.network),
        ("WARC-Payload-Digest", digest(answer.body)), ("Content-Type", "application/http; msgtype=response"),
        block=block,
    )  # fmt: skip


def _info(name: str, agent: str) -> bytes:
    fields = [f"software: Luthier/{__version__}", f"http-header-user-agent: {agent}", "format: WARC File Format 1.1",
              "robots: obey", ""]  # fmt: skip
    return _record(
        ("WARC-Type", "warcinfo"), ("WARC-Filename", name), ("Content-Type", "application/warc-fields"),
        block="\r\n".join(fields).encode("utf-8"),
    )  # fmt: skip


def _record(*fields: tuple[str, str], block: bytes) -> bytes:
    """A gzip member with a whole record."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    named: Sequence[tuple[str, str]] = (
        ("WARC-Record-ID", f"<urn:uuid:{uuid.uuid4()}>"), ("WARC-Date", now), *fields,
        ("WARC-Block-Digest", digest(block)), ("Content-Length", str(len(block))),
    )  # fmt: skip
    head = "\r\n".join(["WARC/1.1", *(f"{key}: {value}" for key, value in named), "", ""])
    return gzip.compress(head.encode("utf-8") + block + b"\r\n\r\n", 6, mtime=0)
