"""What is published: whether it can be reached, fetched whole (through the hub's cache), or read as it comes.

Whole files of the hub go through `huggingface_hub`, which keeps and resumes them. Where only a number of rows is asked
for, and for files elsewhere, bytes are read as they come and a broken connection is taken up where it broke. The sets
are public: no token is sent there. HF_ENDPOINT names a mirror of the hub.
"""

from __future__ import annotations

import http.client
import io
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast
from urllib.parse import quote, urlsplit

from luthier.core.errors import LuthierError
from luthier.data.opensets.feed import Feed
from luthier.data.opensets.spec import Place
from luthier.version import __version__

HUB = "https://huggingface.co"
SECONDS = 5.0  # in which a server must answer to count as reached
_SILENCE = 30.0  # seconds without a byte, after which a connection is made anew
_TRIES = 3
_AGENT = {"User-Agent": f"luthier/{__version__}"}


def endpoint() -> str:
    """The hub, or the mirror that HF_ENDPOINT names."""
    return os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or HUB


def address(place: Place, file: str) -> str:
    """Where a file is fetched from."""
    if not place.repo:
        return place.base + quote(file)
    from huggingface_hub import hf_hub_url

    return hf_hub_url(place.repo, file, repo_type="dataset", endpoint=endpoint())


def cached(place: Place, file: str) -> bool:
    """Whether the hub's cache has the file."""
    if not place.repo:
        return False
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(place.repo, file, repo_type="dataset"), str)


def unreachable(places: Iterable[Place]) -> dict[str, str]:
    """The servers that are needed and do not give the first file of a place, each with the reason. Takes seconds."""
    wanted: dict[str, str] = {}
    for place in places:
        if lacking := [file for file in place.files if not cached(place, file)]:
            url = address(place, lacking[0])
            wanted.setdefault(f"{urlsplit(url).scheme}://{urlsplit(url).netloc}", url)
    answers: dict[str, str] = {}

    def ask(server: str, url: str) -> None:
        answers[server] = _why_not(url)

    threads = [threading.Thread(target=ask, args=item, daemon=True) for item in wanted.items()]
    for thread in threads:
        thread.start()
    until = time.monotonic() + SECONDS + 1  # looking a name up has no limit of its own
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return {server: why for server in wanted if (why := answers.get(server, "no answer"))}


def _why_not(url: str) -> str:
    """Why nothing can be fetched there; "" where it can."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE and url.startswith(endpoint()):
        return "HF_HUB_OFFLINE is set"
    try:
        with _opener().open(urllib.request.Request(url, headers=_AGENT, method="HEAD"), timeout=SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        return f"HTTP {error.code} for {url}" if error.code in (401, 403, 404, 410) or error.code >= 500 else ""
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _reason(error)


def _opener() -> urllib.request.OpenerDirector:
    """Follows no redirection: a file's own server need not answer HEAD."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *given: Any, **more: Any) -> None:
            return None

    return urllib.request.build_opener(Stay)


def _reason(error: BaseException) -> str:
    inner = getattr(error, "reason", error)
    return str(inner).strip().split("\n")[0][:200] or type(inner).__name__


def fetched(place: Place, whole: bool) -> Iterator[Feed]:
    """The files of a place, one after another. whole: all rows are wanted, so that keeping the file is worth it."""
    for file in place.files:
        name = PurePosixPath(file).name
        if place.listed:
            for line in _downloaded(place, file).read_text("utf-8", "replace").split():
                yield _streamed(line, PurePosixPath(urlsplit(line).path).name)
        elif place.repo and (whole or name.endswith(".parquet") or cached(place, file)):
            path = _downloaded(place, file)
            yield Feed(path.open("rb"), name, path.stat().st_size, path)
        else:
            yield _streamed(address(place, file), name)


def _streamed(url: str, name: str) -> Feed:
    stream = Remote(url)
    return Feed(cast(IO[bytes], stream), name, stream.size)


def _downloaded(place: Place, file: str) -> Path:
    """The file in the hub's cache, fetched if it is not there; what was begun is gone on with."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(place.repo, file, repo_type="dataset", endpoint=endpoint()))
    except Exception as error:  # a network and a disk: it may raise anything
        raise LuthierError(f"{address(place, file)}: cannot be fetched: {_reason(error)}") from None


class Remote(io.RawIOBase):
    """The bytes behind an address as they come. size: of all, 0 where the server does not say.

    Raises LuthierError where there are none, or the connection breaks again and again.
    """

    def __init__(self, url: str) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise LuthierError(f"{url[:200]!r} is no address of a file (http or https)")
        self.url, self.size, self.at = url, 0, 0
        self._response = self._opened()

    def _opened(self) -> Any:
        more = {"Range": f"bytes={self.at}-"} if self.at else {}
        try:
            response = urllib.request.urlopen(urllib.request.Request(self.url, headers=_AGENT | more), timeout=_SILENCE)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise LuthierError(f"{self.url}: cannot be fetched: {_reason(error)}") from None
        if self.at and response.status != http.HTTPStatus.PARTIAL_CONTENT:
            response.close()
            raise LuthierError(f"{self.url}: the connection broke, and the server cannot go on: begin once more")
        length = response.headers.get("Content-Length", "")
        self.size = self.at + int(length) if length.isdigit() else 0
        return response

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        for attempt in range(_TRIES + 1):
            try:
                data = self._response.read(len(buffer))
            except (OSError, http.client.HTTPException):
                data = b""
            if data or self.at >= self.size:
                break
            if attempt == _TRIES:
                raise LuthierError(f"{self.url}: the connection breaks again and again, at byte {self.at}")
            time.sleep(attempt)
            self._response.close()
            self._response = self._opened()
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._response.close()
        super().close()
