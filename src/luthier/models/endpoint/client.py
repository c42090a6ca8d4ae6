"""Asking a server over HTTP: bounded concurrency, retries, a budget of calls and cost, answers kept on disk.

An answer is kept under the hash of address and request, so a run that was killed asks nothing twice. The API key is
read from the environment and goes into one header; it is in no request's hash, no file and no message. Redirects are
not followed, since the header would go with them.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from luthier.core.errors import LuthierError
from luthier.core.records import Message
from luthier.data.keys import Trace
from luthier.data.turns import calls_of
from luthier.io.files import read_json, write_json

if TYPE_CHECKING:
    from luthier.io.config import EndpointConfig

KEYS = ("LUTHIER_API_KEY", "OPENAI_API_KEY")
PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds before the first retry, doubled each time
PASSING = (408, 429, 500, 502, 503, 504)
LARGEST = 16 << 20  # bytes of an answer
LOCAL = ("127.0.0.1", "localhost", "::1")

Answer = dict[str, Any]
Asked = tuple[str, Answer]  # path below the address, body


class NotThereError(LuthierError):
    """The server has no such path."""


class RejectedError(LuthierError):
    """The server does not take the request as it is; the message says why in its words."""


class _Passing(Exception):  # noqa: N818
    """Worth another try. after: seconds the server asks for."""

    def __init__(self, words: str, after: float = 0.0) -> None:
        super().__init__(words)
        self.after = after


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def api_key() -> str:
    """The key from the environment, or "". Raises LuthierError (without it) where it cannot stand in a header."""
    name = next((n for n in KEYS if os.environ.get(n, "").strip()), None)
    key = os.environ[name].strip() if name else ""
    if not (key.isascii() and key.isprintable()):
        raise LuthierError(f"{name}: holds characters that no API key has")
    return key


class Client:
    """One server. `calls` and `cost` count what was really sent, `spent` the seconds of all answers, kept ones too."""

    def __init__(self, url: str, config: EndpointConfig, cache: Path) -> None:
        self.url, self.config, self.cache = url.rstrip("/"), config, cache
        self.calls, self.cost, self.spent = 0, 0.0, 0.0
        self.sleep: Callable[[float], None] = time.sleep
        self._key, self._lock = api_key(), threading.RLock()
        self._count: Path | None = None
        handlers: list[Any] = [_NoRedirect]
        if urlsplit(url).hostname in LOCAL:  # a proxy does not reach this machine
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def keep_count(self, path: Path) -> None:
        """Count on from this file, and write to it: a budget holds for a comparison, not for one process."""
        with self._lock:
            if path.exists():
                found = read_json(path)
                self.calls, self.cost = self.calls + int(found["calls"]), self.cost + float(found["cost"])
            self._count = path

    def ask_all(self, asked: Sequence[Asked], progress: Callable[[int, int], None] | None = None) -> list[Answer]:
        """The answer to each request; equal ones are sent once. The first error ends it; answers so far are kept."""
        names = [self._name(path, body) for path, body in asked]
        waiting = dict(zip(names, asked, strict=True))
        found: dict[str, Answer] = {}
        pool = ThreadPoolExecutor(max(1, self.config.parallel))
        try:
            futures = {pool.submit(self._ask, name, *request): name for name, request in waiting.items()}
            for future in as_completed(futures):
                found[futures[future]] = future.result()
                if progress:
                    progress(len(found) * len(names) // len(waiting), len(names))
        finally:
            pool.shutdown(cancel_futures=True)
        return [found[name] for name in names]

    def get(self, path: str) -> Answer:
        """What the server says about itself; free, not kept, tried once. Raises LuthierError."""
        try:
            return self._once(path, None)
        except _Passing as error:
            raise LuthierError(f"{self.url}: {error}: start the server, or check the address") from None

    def _name(self, path: str, body: Answer) -> str:
        text = json.dumps([self.url, path, body], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def _ask(self, name: str, path: str, body: Answer) -> Answer:
        file = self.cache / name[:2] / f"{name}.json"
        try:
            kept = read_json(file)
        except (OSError, ValueError):
            kept = self._send(path, body)
            write_json(file, kept)
        with self._lock:
            self.spent += kept["seconds"]
        return dict(kept["answer"])

    def _send(self, path: str, body: Answer) -> Answer:
        """The answer with the seconds that it took, the tries before it left out."""
        pause, words = PAUSE, ""
        for attempt in range(self.config.retries + 1):
            if attempt:
                self.sleep(pause)
            self._reserve()
            begin = time.monotonic()
            try:
                answer = self._once(path, body)
            except _Passing as error:
                words = str(error)
                # jitter: clients that failed together do not come back together
                pause = min(LONGEST_PAUSE, max(error.after, PAUSE * 2**attempt * random.uniform(0.5, 1.0)))
                continue
            seconds = time.monotonic() - begin
            self._pay(answer, body)
            return {"seconds": seconds, "answer": answer}
        raise LuthierError(f"{self.url}: {words}, {self.config.retries + 1} times in a row")

    def _reserve(self) -> None:
        limits = self.config
        with self._lock:
            if limits.max_calls is not None and self.calls >= limits.max_calls:
                self._stop(f"max_calls: {limits.max_calls} calls are made")
            if limits.max_cost is not None and self.cost >= limits.max_cost:
                self._stop(f"max_cost: {self.cost:.4g} of {limits.max_cost:g} is spent")
            self.calls += 1
            self._write()

    def _stop(self, words: str) -> None:
        raise LuthierError(
            f"{self.url}: the budget endpoint.{words}; raise it: answers so far are kept and cost nothing"
        )

    def _pay(self, answer: Answer, body: Answer) -> None:
        usage = answer.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        # without the server's count: four bytes a token
        counts = (usage.get(f"{part}_tokens") for part in ("prompt", "completion"))
        put, got = (float(n) if isinstance(n, int) else 0.0 for n in counts)
        put = put or len(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")) / 4
        with self._lock:
            self.cost += (put * self.config.price_in + got * self.config.price_out) / 1000
            self._write()

    def _write(self) -> None:
        if self._count is not None:
            write_json(self._count, {"calls": self.calls, "cost": self.cost})

    def _once(self, path: str, body: Answer | None) -> Answer:
        """One request. Raises _Passing where another try may help, LuthierError where not."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)
        try:
            with self._opener.open(request, timeout=self.config.timeout) as response:
                text = self._read(response)
        except urllib.error.HTTPError as error:
            with error:
                self._refused(error, path)
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            raise _Passing(self._network_words(error)) from None
        try:
            whole = json.dumps(json.loads(text), ensure_ascii=False, allow_nan=False)
            answer = json.loads(whole.encode("utf-8", "replace"))  # what a file can hold: no NaN, no half characters
        except (ValueError, RecursionError):
            raise _Passing(f"half an answer, or none in JSON: {self._clean(text)!r}") from None
        if not isinstance(answer, dict):
            raise LuthierError(f"{self.url}{path}: the answer is no JSON object: {self._clean(text)!r}")
        return answer

    def _read(self, response: Any) -> str:
        end, parts, size = time.monotonic() + self.config.timeout, [], 0
        while part := response.read1(1 << 16):
            parts.append(part)
            size += len(part)
            if time.monotonic() > end:
                raise TimeoutError
            if size > LARGEST:
                raise LuthierError(f"{self.url}: an answer of more than {LARGEST >> 20} MiB: is this a chat server?")
        text = b"".join(parts).decode("utf-8", "replace")
        return text.replace(self._key, "***") if self._key else text

    def _refused(self, error: urllib.error.HTTPError, path: str) -> None:
        try:
            text = self._read(error)
        except (OSError, http.client.HTTPException):
            text = ""
        words = f"HTTP {error.code}: {self._clean(_message(text)) or error.reason}"
        if error.code in PASSING:
            after = error.headers.get("Retry-After", "") if error.headers else ""
            raise _Passing(words, float(after) if after.strip().isdigit() else 0.0) from None
        where = self.url + path
        if error.code in (401, 403):
            raise LuthierError(f"{where}: {words}: set the API key in the variable {KEYS[0]} or {KEYS[1]}") from None
        if 300 <= error.code < 400:
            raise LuthierError(f"{where}: {words}: the server sends on to another address: name that one") from None
        kind = NotThereError if error.code in (404, 405, 501) else RejectedError
        raise kind(f"{where}: {words}") from None

    def _network_words(self, error: Exception) -> str:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ConnectionRefusedError):
            return "nothing listens there (connection refused)"
        if isinstance(reason, TimeoutError):
            return f"no answer within {self.config.timeout:g} s"
        return self._clean(f"{type(reason).__name__}: {reason}")

    def _clean(self, text: str) -> str:
        """A short line for a message, without the key."""
        line = " ".join(text.split())[:300]
        return line.replace(self._key, "***") if self._key else line


def _message(text: str) -> str:
    """The words of an error in the form that OpenAI's servers use, or the whole of another."""
    try:
        found = json.loads(text)["error"]
        return str(found["message"] if isinstance(found, dict) else found)
    except (ValueError, KeyError, TypeError):
        return text


def said(message: Answer) -> str:
    """The words of an answer, and its calls of tools as a record's answer has them."""
    calls = message.get("tool_calls")
    text = message.get("content") if calls else message["content"]
    return Message("assistant", text or "", calls=calls_of(calls, "tool_calls", Trace()) if calls else "").said
