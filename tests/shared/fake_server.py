"""A chat server on loopback whose every answer a test decides: status and body, silence, half an answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What the server does with a request. cut: bytes of the body after which it hangs up; wait: seconds before it."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    wait: float = 0.0


Decide = Callable[[str, dict[str, Any], int], Reply]  # path, request, how many came before


@dataclass
class Server:
    """What was asked of it: (path, request, headers)."""

    url: str
    asked: list[tuple[str, dict[str, Any], dict[str, str]]]
    most_at_once: int = 0

    def posted(self) -> list[dict[str, Any]]:
        """The requests for answers."""
        return [body for _, body, _ in self.asked]


def said(text: str, **usage: int) -> Reply:
    """An answer to a conversation or a text: a server's form for both."""
    return Reply({"choices": [{"message": {"role": "assistant", "content": text}}], "usage": usage})


def completed(text: str) -> Reply:
    """An answer to plain text."""
    return Reply({"choices": [{"text": text}]})


@contextmanager
def serving(decide: Decide, models: tuple[str, ...] = ("fake",)) -> Iterator[Server]:
    """A server that answers POST as `decide` says, and GET /models with the names."""
    stop, lock, inside = threading.Event(), threading.Lock(), [0]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(Reply({"data": [{"id": name} for name in models]}))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                before = len(server.asked)
                server.asked.append((self.path, body, dict(self.headers)))
                inside[0] += 1
                server.most_at_once = max(server.most_at_once, inside[0])
            try:
                self._send(decide(self.path.removeprefix("/v1"), body, before))
            finally:
                with lock:
                    inside[0] -= 1

        def _send(self, reply: Reply) -> None:
            if reply.wait:
                stop.wait(reply.wait)
            data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(data)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data[: reply.cut])

        def log_message(self, *_: object) -> None: ...

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that has gone away
    server = Server(f"http://127.0.0.1:{httpd.server_port}/v1", [])
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        httpd.shutdown()
        httpd.server_close()


def echoing(give: Callable[[str], list[tuple[str, float | None]]]) -> Decide:
    """A server that echoes a prompt with log-probabilities; `give` cuts a text into tokens with their values."""

    def decide(path: str, body: dict[str, Any], _: int) -> Reply:
        assert path == "/completions" and body["echo"] and body["logprobs"]
        pieces = [*give(body["prompt"]), ("!", -9.0)]
        offsets = [sum(len(t) for t, _ in pieces[:i]) for i in range(len(pieces))]
        logprobs = {"tokens": [t for t, _ in pieces], "token_logprobs": [v for _, v in pieces], "text_offset": offsets}
        return Reply({"choices": [{"text": body["prompt"] + "!", "logprobs": logprobs}]})

    return decide
