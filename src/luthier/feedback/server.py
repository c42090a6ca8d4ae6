"""The server of the labelling page: one process, one port, one project. `luthier label serve` runs it.

    GET  /             the page                          POST /api/enter   a name, and the session of a browser
    GET  /FILE         its script and style              POST /api/label   what was said; answered when it is kept
                                                         POST /api/undo, /api/again, /api/next, /api/alive

Every answer but /api/alive's is the annotator's state (`assigning.state`): the next question, what is done and left. An
error is {"error": phrase, "code": ...}, by which the page says it in its reader's language and knows what to do.
"""

from __future__ import annotations

import contextlib
import re
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from luthier.core.errors import LuthierError
from luthier.core.phrases import of_error, packed
from luthier.feedback import assigning, labelling, page
from luthier.feedback.assigning import Annotator
from luthier.feedback.guard import Guard
from luthier.feedback.store import NotWritten, Store

# What an error's class tells the page: the status, and a code where it is to do more than say it.
CODES: dict[type[LuthierError], tuple[int, str]] = {
    NotWritten: (507, "not_written"),
    assigning.NameTaken: (409, "name_taken"),
    assigning.TakenOver: (409, "taken_over"),
    labelling.Refused: (409, "refused"),
    LuthierError: (400, "wrong"),
}
State = dict[str, Any]


class Enter(BaseModel):
    """Who sits at a browser."""

    name: str
    session: str = ""
    take_over: bool = False


class Session(BaseModel):
    """A browser that has entered."""

    session: str


class Said(Session):
    """What was said of a question; value None: it is skipped."""

    question: int
    key: str
    value: Any = None


class Undone(Session):
    """The label to take back."""

    key: str


def application(store: Store) -> FastAPI:
    """The routes, without the guard that stands before them."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    _add_pages(app, store)
    _add_labels(app, store)

    @app.exception_handler(LuthierError)
    async def failed(_: Request, error: LuthierError) -> Response:
        status, code = next(CODES[each] for each in type(error).__mro__ if each in CODES)
        return JSONResponse({"error": packed(of_error(error)), "code": code}, status)

    return app


def _add_pages(app: FastAPI, store: Store) -> None:
    @app.get("/")
    def shown() -> Response:
        return Response(page.html(store.settings), media_type="text/html; charset=utf-8")

    @app.get("/{name}")
    def asset(name: str) -> Response:
        found = page.asset(name)
        return Response(status_code=404) if found is None else Response(found[0], media_type=found[1])


def _add_labels(app: FastAPI, store: Store) -> None:
    def state(session: str, act: Callable[[sqlite3.Connection, Annotator], None] | None = None) -> State:
        """What the annotator sees after an act, which is on the disk when this returns."""
        with store.writing() as db:
            annotator = assigning.of_session(db, session)
            if act is not None:
                act(db, annotator)
            return assigning.state(db, annotator, store.settings)

    @app.post("/api/enter")
    def enter(given: Enter) -> State:
        with store.writing() as db:
            annotator, session = assigning.enter(db, given.name, given.session, given.take_over)
            return {"session": session, **assigning.state(db, annotator, store.settings)}

    @app.post("/api/label")
    def label(said: Said) -> State:
        settings = store.settings
        return {
            "saved": said.key,
            **state(
                said.session,
                lambda db, who: labelling.label(db, settings, who, said.question, said.key, said.value),
            ),
        }

    @app.post("/api/undo")
    def undo(undone: Undone) -> State:
        return state(undone.session, lambda db, who: labelling.undo(db, who, undone.key))

    @app.post("/api/again")
    def again(given: Session) -> State:
        return state(given.session, labelling.again)

    @app.post("/api/next")
    def following(given: Session) -> State:
        return state(given.session)

    @app.post("/api/alive")
    def alive(given: Session) -> State:
        with store.writing() as db:
            return {"name": assigning.of_session(db, given.session).name}


def guarded(store: Store, host: str, port: int, token: str = "") -> Guard:
    """The application as it is served. token: "" is the project's own."""
    settings = store.settings
    return Guard(application(store), token or settings.token, f"luthier_label_{settings.project}", host, port)


@contextlib.contextmanager
def listening(store: Store, host: str, port: int) -> Iterator[tuple[socket.socket, int]]:
    """A socket and its port: 0 is the one that the project was served on last, or a free one. Raises LuthierError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for wanted in (port,) if port else (store.settings.port, 0):
        sock = socket.socket(family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, wanted))
            sock.listen(128)
        except OSError as error:
            sock.close()
            if wanted and not port:
                continue
            raise LuthierError(
                f"{host}:{wanted}: cannot listen there: {error.strerror or error}: choose another --port or --host"
            ) from None
        with sock:
            found = sock.getsockname()[1]
            if found != store.settings.port:
                store.set(port=found)
            yield sock, found
            return


def serve(folder: Path, host: str, port: int, token: str, say: Callable[[str], None]) -> None:
    """Serve a project until the process is told to end. token: "" is the project's own. say: is told the address."""
    if token and not re.fullmatch(r"[\w-]{8,100}", token, re.ASCII):
        raise LuthierError("--token: it is 8 to 100 letters, digits, - and _")
    store = Store(folder)
    with contextlib.closing(store), listening(store, host, port) as (sock, found):
        app = guarded(store, host, found, token)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="off", server_header=False, timeout_keep_alive=30,
            timeout_graceful_shutdown=5, proxy_headers=False, ws="none",
        )  # fmt: skip
        name = f"[{host}]" if ":" in host else host
        say(f"http://{name}:{found}/?token={app.token}")
        uvicorn.Server(config).run(sockets=[sock])
