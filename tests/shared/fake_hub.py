"""A hub on loopback: files of data sets by their address, ranges of bytes, and connections that break."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Hub:
    """files: path of the address -> bytes. cuts: bytes after which the next answers hang up. asked: method and path."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    sent: int = 0
    ranges: bool = True

    def put(self, repo: str, file: str, data: bytes) -> None:
        """A file of a data set."""
        self.files[f"/datasets/{repo}/resolve/main/{file}"] = data


@contextmanager
def hub() -> Iterator[Hub]:
    """A hub that has no file yet."""
    found = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            given = self.headers.get("Range", "")
            found.asked.append((self.command, self.path, given))
            data = found.files.get(self.path)
            if data is None:
                self.send_error(404)
                return
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", given) if found.ranges else None
            begin = int(wanted[1]) if wanted else 0
            part = data[begin:]
            self.send_response(206 if wanted else 200)
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Accept-Ranges", "bytes")
            if wanted:
                self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            if not body:
                return
            cut = found.cuts.pop(0) if found.cuts else len(part)
            try:
                self.wfile.write(part[:cut])
            except OSError:  # who asked has read enough
                return
            found.sent += len(part[:cut])
            if cut < len(part):
                self.close_connection = True

        def log_message(self, *given: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
