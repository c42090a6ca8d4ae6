"""Labelling projects for tests: made, served in this process or in one that can be killed, and spoken to over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import luthier
from luthier.feedback import store as room
from luthier.feedback.questions import Question
from luthier.feedback.store import Settings, Store

SOURCE = Path(luthier.__file__).parents[1]


def project(
    folder: Path, questions: int | Sequence[Question] = 4, kind: str = "pair", shared: Sequence[int] = (), seed: int = 0
) -> Path:
    """A project of so many questions with two answers, or of these; `shared` names those that everybody gets."""
    made = [asked(n) for n in range(1, questions + 1)] if isinstance(questions, int) else questions
    settings = Settings(kind, len(shared) / len(made), seed)
    room.create(folder, settings, made, [n in shared for n in range(1, len(made) + 1)])
    return folder


def asked(number: int, answers: int = 2) -> Question:
    """Question `number`, whose answers say which they are."""
    return Question(f"question {number}", tuple(f"answer {i} to {number}" for i in range(1, answers + 1)))


@dataclass
class Client:
    """Speaks to a server as a page does. session: of the annotator that has entered."""

    address: str
    token: str
    session: str = ""
    state: dict[str, Any] = field(default_factory=dict)

    def send(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str | None] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """A request with the token as bearer; `headers` replace ours, None leaves one out."""
        parts = urlsplit(self.address)
        assert parts.hostname
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        usual: dict[str, str | None] = {"Authorization": f"Bearer {self.token}"}
        if body is not None:
            usual["Content-Type"] = "application/json"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {name: value for name, value in {**usual, **(headers or {})}.items() if value is not None}
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()
        finally:
            connection.close()

    def post(self, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        """A JSON request and its answer."""
        status, _, data = self.send("POST", f"/api/{path}", {"session": self.session, **body})
        return status, json.loads(data)

    def enter(self, name: str, **more: Any) -> Client:
        """Begin to label under a name."""
        status, self.state = self.post("enter", name=name, **more)
        assert status == 200, self.state
        self.session = self.state["session"]
        return self

    def label(self, value: Any, key: str = "") -> dict[str, Any]:
        """Label the question that is open; gives the server's answer."""
        status, given = self.post("label", question=self.state["question"]["id"], key=key or new_key(), value=value)
        assert status == 200, given
        self.state = given
        return given


def new_key() -> str:
    """A label's key, as pages make them."""
    return uuid.uuid4().hex


@contextmanager
def served(folder: Path) -> Iterator[tuple[Client, Store]]:
    """A project served by a thread of this process: a client, and the open database."""
    import uvicorn

    from luthier.feedback.server import guarded, listening

    store = Store(folder)
    with listening(store, "127.0.0.1", 0) as (sock, port):
        app = guarded(store, "127.0.0.1", port)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", access_log=False))
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined,method-assign]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        try:
            yield Client(f"http://127.0.0.1:{port}", app.token), store
        finally:
            server.should_exit = True
            thread.join(20)
            store.close()


@dataclass
class Process:
    """A server of its own, as the command starts it. address: with the token, as it was printed."""

    popen: subprocess.Popen[str]
    address: str

    def client(self) -> Client:
        """A new client of it."""
        place, _, token = self.address.partition("/?token=")
        return Client(place, token)

    def kill(self) -> None:
        """As `kill -9` does."""
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(20)


def start(folder: Path, *options: str, before: Callable[[], None] | None = None) -> Process:
    """Start `luthier label serve`, and wait for its address. before: runs in the new process first."""
    command = [sys.executable, "-m", "luthier", "label", "serve", str(folder), *options]
    path = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])
    popen = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=before,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert popen.stdout is not None
    line = popen.stdout.readline()
    assert line.startswith("Label at http://"), line + popen.stdout.read()
    return Process(popen, line.removeprefix("Label at ").strip())


@contextmanager
def process(folder: Path, *options: str, before: Callable[[], None] | None = None) -> Iterator[Process]:
    """A server of its own, which is ended with the block."""
    found = start(folder, *options, before=before)
    try:
        yield found
    finally:
        found.popen.kill()
        found.popen.wait(20)
        if found.popen.stdout is not None:
            found.popen.stdout.close()


def stands(folder: Path) -> list[dict[str, Any]]:
    """Every label of a project that is not withdrawn, skips too, as the database has it."""
    store = Store(folder)
    try:
        with store.reading() as db:
            rows = db.execute(
                "SELECT l.key, l.question, a.name, l.value, l.skipped FROM labels l JOIN annotators a"
                " ON a.id = l.annotator WHERE l.withdrawn IS NULL ORDER BY l.id"
            )
            return [dict(row) | {"value": json.loads(row["value"])} for row in rows]
    finally:
        store.close()
