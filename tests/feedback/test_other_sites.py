"""Pages of other sites, in the very browser that holds the cookie: none of them can label, or see the page."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from labelling import project, served, stands

ATTACK = """<!doctype html><iframe name="hidden"></iframe><iframe src="PLACE/"></iframe>
<form target="hidden" method="post" enctype="text/plain" action="PLACE/api/label"><input name="NAME" value="&quot;}">
</form>
<script>
document.forms[0].submit(); // what it sends is JSON: {..., "more": "="}
const body = BODY;
const ask = (headers, mode) =>
  fetch("PLACE/api/label", { method: "POST", mode, credentials: "include", headers, body });
const all = [ask({}, "no-cors"), ask({ "Content-Type": "text/plain" }, "cors"),
  ask({ "Content-Type": "application/json" }, "cors")];
Promise.allSettled(all).then((found) => { document.title = found.map((each) => each.status[0]).join(""); });
</script>"""
SESSION = (
    """() => JSON.parse(Object.entries(localStorage).find(([key]) => key.startsWith("luthier-label"))[1]).session"""
)
SEND = """(body) => fetch("api/label", { method: "POST", headers: { "Content-Type": "application/json" }, body })
  .then((answer) => answer.status)"""


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_no_other_page_can_label(labelling_page: Callable[..., Any], tmp_path: Path, host: str) -> None:
    """A page of another site, and one of this very host at another port, with a session that they could not know.

    By form, by fetch, in a frame. Seen failing, at the other port, without the checks of the origin and a body of any
    type read as JSON.
    """
    with served(project(tmp_path / "p", 3)) as (client, _):
        page = labelling_page(f"{client.address}/?token={client.token}", "Anna")
        body = json.dumps({"session": page.evaluate(SESSION), "question": 1, "key": "evil", "value": "left"})
        form = escape(body[:-1] + ', "more": "', quote=True)
        html = ATTACK.replace("NAME", form).replace("BODY", json.dumps(body)).replace("PLACE", client.address)
        with saying(html) as port:
            other = page.context.new_page()
            other.goto(f"http://{host}:{port}/")
            other.wait_for_function("() => /^[fr]rr$/.test(document.title)")  # no answer can be read
            other.wait_for_timeout(300)
            assert not any(frame.locator("#question").count() for frame in other.frames[1:])
        assert stands(tmp_path / "p") == []
        assert page.evaluate(SEND, body) == 200  # the same from the page itself
    assert [row["key"] for row in stands(tmp_path / "p")] == ["evil"]


@contextmanager
def saying(html: str) -> Iterator[int]:
    """The port of somebody else's server, which has one page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
