"""The server over HTTP: who may speak to it, what it answers, and that killing it loses nothing."""

from __future__ import annotations

import json
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import labelling
from labelling import Client, new_key, process, project, served, stands
from luthier.core.errors import LuthierError
from luthier.feedback.guard import LARGEST, Guard
from luthier.feedback.server import listening
from luthier.feedback.store import Store


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A client of a project with six questions, the last of which every annotator gets."""
    pytest.importorskip("fastapi")
    with served(project(tmp_path / "p", 6, shared=[6])) as (found, _):
        yield found


def cookie(client: Client) -> str:
    """The cookie that the page's address gives."""
    status, headers, _ = client.send("GET", f"/?token={client.token}", headers={"Authorization": None})
    assert status == 200
    return headers["set-cookie"]


def test_the_page_and_its_files(client: Client) -> None:
    """By the token in the address once, then by the cookie, which no script reads and no other site sends."""
    kept = cookie(client)
    name, _, value = kept.partition(";")[0].partition("=")
    assert name.startswith("luthier_label_") and value == client.token
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in kept.split(";")}
    own = {"Authorization": None, "Cookie": f"other=a b; {name}={value}"}
    for path, kind in (("/", "html"), ("/label.js", "javascript"), ("/label.css", "css")):
        status, headers, data = client.send("GET", path, headers=own)
        assert status == 200 and kind in headers["content-type"] and data
        assert "default-src 'none'" in headers["content-security-policy"] and "set-cookie" not in headers
        assert headers["referrer-policy"] == "no-referrer" and headers["cache-control"] == "no-store"
    for path in ("/label.html", "/nothing.js", "/..%2fserver.py", "/docs", "/openapi.json"):
        assert client.send("GET", path)[0] == 404


@pytest.mark.parametrize("path", ["/", "/label.js", "/label.css", "/nothing", "/api/enter", "/api/label"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic TOKEN"},
                                     {"Cookie": "luthier_label_x=TOKEN"}])  # fmt: skip
def test_no_token_no_answer(client: Client, path: str, headers: dict[str, str]) -> None:
    """Whatever is asked for, and in both languages to a reader. Seen failing with files served before the check."""
    given = {name: value.replace("TOKEN", client.token) for name, value in headers.items()}
    method = "POST" if path.startswith("/api") else "GET"
    body = {"name": "Anna"} if method == "POST" else None
    status, _, data = client.send(method, path, body, {"Authorization": None, **given})
    assert status == 403 and client.token.encode() not in data
    if path == "/":
        assert "lacks the token" in data.decode() and "没有本服务器的令牌" in data.decode()
    else:
        assert json.loads(data)["error"]["t"] == "label_no_token"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:PORT", "127.0.0.1", "127.0.0.1:1", "",
                                  "localhost.evil:PORT", "192.168.1.1:PORT"])  # fmt: skip
def test_a_wrong_host(client: Client, host: str) -> None:
    """A site that points its own name at this machine is not served, token or not."""
    port = client.address.rpartition(":")[2]
    for method, path, body in (("GET", f"/?token={client.token}", None), ("POST", "/api/enter", {"name": "x"})):
        status, _, data = client.send(method, path, body, {"Host": host.replace("PORT", port)})
        assert status in (400, 403) and client.token.encode() not in data


@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}, {"Origin": "https://HERE"},
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://HERE.evil.example"},
])  # fmt: skip
def test_another_sites_page_cannot_label(client: Client, headers: dict[str, str], tmp_path: Path) -> None:
    """Even were the browser to send the cookie along. Seen failing without the check of Origin."""
    kept, here = cookie(client).partition(";")[0], client.address.removeprefix("http://")
    client.enter("Anna")
    sent = {name: value.replace("HERE", here) for name, value in headers.items()}
    body = {"session": client.session, "question": 1, "key": new_key(), "value": "left"}
    status, found, data = client.send("POST", "/api/label", body, {"Authorization": None, "Cookie": kept, **sent})
    assert status == 403 and json.loads(data)["error"]["t"] == "label_origin"
    assert "access-control-allow-origin" not in found and stands(tmp_path / "p") == []
    good = {"Authorization": None, "Cookie": kept, "Origin": client.address, "Sec-Fetch-Site": "same-origin"}
    assert client.send("POST", "/api/label", body, good)[0] == 200


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain", None])
def test_a_form_cannot_label(client: Client, kind: str | None, tmp_path: Path) -> None:
    """What a form of another site can send without being asked for leave is never JSON by its type."""
    client.enter("Anna")
    body = json.dumps({"session": client.session, "question": 1, "key": "k", "value": "left"}).encode()
    status, _, data = client.send("POST", "/api/label", body, {"Content-Type": kind})
    assert status == 415 and json.loads(data)["error"]["t"] == "label_json" and stands(tmp_path / "p") == []


def test_what_is_too_large_or_no_request(client: Client) -> None:
    client.enter("Anna")
    status, _, data = client.send("POST", "/api/label", b"{}", {"Content-Length": str(LARGEST + 1)})
    assert status == 413 and json.loads(data)["error"]["t"] == "label_too_large"
    for body in (b"", b"[1]", b"{", b'{"session": 1}'):
        assert client.send("POST", "/api/label", body)[0] in (400, 422)
    for method in ("PUT", "DELETE", "OPTIONS"):
        assert client.send(method, "/api/label", b"{}")[0] == 405
    for value in ("up", 3, {"a": 1}, [1, 2]):
        status, given = client.post("label", question=1, key=new_key(), value=value)
        assert status == 400 and given["code"] == "wrong" and "one of left, right" in given["error"]


@pytest.mark.parametrize(("listens", "host", "ours"), [
    ("127.0.0.1", "127.0.0.1:80", True), ("127.0.0.1", "localhost", True), ("127.0.0.1", "[::1]:80", True),
    ("::1", "[::1]", True), ("0.0.0.0", "10.0.0.7:80", True), ("0.0.0.0", "[fe80::1]:80", True),
    ("0.0.0.0", "evil.example:80", False), ("10.0.0.7", "10.0.0.7", True), ("10.0.0.7", "10.0.0.8", False),
    ("box.local", "box.local", True), ("127.0.0.1", "10.0.0.7:80", False), ("127.0.0.1", "::1:80", False),
])  # fmt: skip
def test_which_hosts_are_ours(listens: str, host: str, ours: bool) -> None:
    async def app(*_: Any) -> None: ...

    assert Guard(app, "t", "c", listens, 80)._ours(host) is ours


def test_a_label_is_acknowledged_and_the_next_one_given(client: Client, tmp_path: Path) -> None:
    """Sent again with its key it is acknowledged again; undo gives it back with what was said."""
    client.enter("Anna")
    assert client.state["question"]["answers"] and "sources" not in client.state["question"]
    first = client.state["question"]["id"]
    given = client.label("tie", "k")
    assert given["saved"] == "k" and given["done"] == 1 and given["question"]["id"] != first
    status, again = client.post("label", question=first, key="k", value="tie")
    assert status == 200 and again == given
    status, other = client.post("label", question=first, key="z", value="left")
    assert status == 409 and other["code"] == "refused" and other["error"]["t"] == "label_twice"
    status, back = client.post("undo", key="k")
    assert status == 200 and back["question"]["id"] == first and back["question"]["before"] == "tie"
    assert stands(tmp_path / "p") == []
    assert client.post("next")[1]["question"]["id"] == first
    assert client.post("alive") == (200, {"name": "Anna"})
    client.session = "another"
    for path in ("next", "alive", "again"):
        status, given = client.post(path)
        assert status == 409 and given["code"] == "taken_over"


def test_what_left_means_is_kept_in_the_questions_order(tmp_path: Path) -> None:
    """Each annotator says that the same answer is better, on whichever side it stands."""
    folder = project(tmp_path / "p", 12, shared=range(1, 13))
    with served(folder) as (client, _):
        sides = set()
        for name in ("Anna", "Bert"):
            client.enter(name)
            while (question := client.state["question"]) is not None:
                side = "left" if question["answers"][0].startswith("answer 2") else "right"
                sides.add((name, side))
                client.label(side)
    assert len(sides) == 4 and all(row["value"] == {"ranks": [2, 1]} for row in stands(folder))


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """The one it had before is left for a free one; one that was asked for is an error."""
    store = Store(project(tmp_path / "p"))
    with listening(store, "127.0.0.1", 0) as (_, first):
        with pytest.raises(LuthierError, match=f"127.0.0.1:{first}: cannot listen"), \
                listening(store, "127.0.0.1", first):  # fmt: skip
            pass
        with listening(store, "127.0.0.1", 0) as (_, second):
            assert second != first
    with listening(store, "127.0.0.1", 0) as (_, third):
        assert third == second
    store.close()


def test_no_file_may_grow(tmp_path: Path) -> None:
    """A real disk's limit: the server says so, keeps nothing half, and keeps the same label when there is room."""
    folder = project(tmp_path / "p", 40, kind="edit")
    full = 300_000

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (full, full))

    kept = []
    with process(folder, before=limit) as found:
        client = found.client().enter("Anna")
        value = {"better": 0, "edited": "y" * 30_000}
        for _ in range(40):
            status, given = client.post("label", question=client.state["question"]["id"], key=new_key(), value=value)
            if status != 200:
                break
            client.state = given
            kept.append(given["saved"])
        assert status == 507 and given["code"] == "not_written"
        assert given["error"]["t"] in ("label_disk_error", "label_disk_full")
    assert 3 < len(kept) < 40 and [row["key"] for row in stands(folder)] == kept
    with process(folder) as found:
        client = found.client().enter("Anna", session=client.session)
        kept.append(client.label(value)["saved"])
    assert [row["key"] for row in stands(folder)] == kept


@pytest.mark.slow
def test_killed_while_two_label(tmp_path: Path) -> None:
    """`kill -9` at five moments while two clients post: every acknowledged label is there, none twice.

    A label whose answer was lost is sent again with its key. Seen failing with answers that come before the write.
    """
    folder = project(tmp_path / "p", 400, shared=range(1, 400, 10))
    acknowledged: dict[str, list[tuple[str, int]]] = {"Anna": [], "Bert": []}
    server = labelling.start(folder)
    clients = {name: server.client().enter(name) for name in acknowledged}
    stop = threading.Event()

    def work(name: str) -> None:
        client = clients[name]
        while not stop.is_set() and client.state["question"] is not None:
            number, key = client.state["question"]["id"], new_key()
            while True:
                try:
                    status, given = client.post("label", question=number, key=key, value="left")
                except OSError:
                    time.sleep(0.02)
                    continue
                except ValueError:  # half an answer
                    continue
                assert status == 200 and given["saved"] == key, given
                acknowledged[name].append((key, number))
                client.state = given
                break

    threads = [threading.Thread(target=work, args=(name,)) for name in acknowledged]
    for thread in threads:
        thread.start()
    for wait in (0.3, 0.5, 0.2, 0.7, 0.4):
        time.sleep(wait)
        server.kill()
        server = labelling.start(folder)
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join(60)
    server.kill()
    found = [(row["name"], row["key"], row["question"]) for row in stands(folder)]
    wanted = {(name, *label) for name, labels in acknowledged.items() for label in labels}
    assert len(wanted) > 50 and set(found) == wanted and len(found) == len(wanted)
    assert len({(name, number) for name, _, number in found}) == len(found)
    alone = [number for _, _, number in found if number % 10 != 1]
    assert len(alone) == len({*alone})
