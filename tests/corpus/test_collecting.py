"""Pages from a server of our own on 127.0.0.1; the internet is never asked."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("protego")

from ended import ending
from luthier.core.errors import LuthierError
from luthier.corpus.collecting import crawl, requesting
from luthier.corpus.collecting.requesting import Limits, public
from luthier.corpus.collecting.state import State
from luthier.corpus.collecting.web import Asked, collect, listed, starts_of

PAGES = 200
Send = Callable[[BaseHTTPRequestHandler], object]


class Server(ThreadingHTTPServer):
    """pages: what answers at a path. asked: how often, by path. times: host, `now` and user agent of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, Send] = {}
        self.asked: Counter[str] = Counter()
        self.times: list[tuple[str, float, str]] = []
        self.now: Callable[[], float] = time.monotonic
        self.at = f"http://127.0.0.1:{self.server_address[1]}"

    def link(self, path: str, *targets: str) -> None:
        self.pages[path] = page("".join(f'<a href="{target}">t</a>' for target in targets))


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked[self.path] += 1
        self.server.times.append((self.headers["Host"], self.server.now(), self.headers["User-Agent"]))
        self.server.pages.get(self.path, page(status=404))(self)


def page(body: str | bytes = "", kind: str = "text/html; charset=utf-8", status: int = 200, **headers: str) -> Send:
    def send(handler: BaseHTTPRequestHandler) -> None:
        known = "ETag" in headers and handler.headers["If-None-Match"] == headers["ETag"]
        data = b"" if known else body.encode() if isinstance(body, str) else body
        handler.send_response(304 if known else status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return send


def moved(where: str) -> Send:
    return page(status=301, Location=where)


class Still(crawl.Clock):
    time = 0.0  # passes only where the crawl waits

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


def asked(*starts: str, follow: bool = True, timeout: float = 5, private: bool = True, **rules: Any) -> Asked:
    limits = Limits(timeout, rules.pop("largest", 16 << 20), private)
    return Asked(starts_of(starts), follow, rules=crawl.Rules(delay=rules.pop("delay", 0.0), limits=limits, **rules))


def records(out: Path) -> list[str]:
    whole = b"".join(gzip.decompress(path.read_bytes()) for path in sorted((out / "warc").glob("*.warc.gz")))
    return [found.decode() for found in re.findall(rb"\r\nWARC-Target-URI: (\S+)\r\n", whole)]


def site(server: Server) -> set[str]:
    """200 pages, each linked from another, with loops and links to what robots.txt forbids; gives their paths."""
    server.pages["/robots.txt"] = page("User-agent: *\nDisallow: /private/\nDisallow: /*.cgi$\n", "text/plain")
    for i in range(PAGES):
        below = [f"/page/{j}" for j in (2 * i + 1, 2 * i + 2) if j < PAGES]
        server.link(f"/page/{i}", *below, "/page/0", f"/page/{i}#part", f"/private/{i}", f"/{i}.cgi", "mailto:a@b")
    server.link("/", "page/0", "/page/../page/./1", f"{server.at.replace('http', 'HTTP')}/page/0")
    return {"/", *(f"/page/{i}" for i in range(PAGES))}


def test_a_site(server: Server, tmp_path: Path) -> None:
    """Every page once, breadth first, nothing that robots.txt forbids; the counts add up."""
    paths, seen, out = site(server), list[tuple[int, int]](), tmp_path / "out"
    found = collect(replace(asked(server.at), contact="me@a.example"), out, say=lambda *at: seen.append(at))
    assert Counter(records(out)) == Counter(f"{server.at}{path}" for path in paths)
    assert [int(address.rsplit("/")[-1]) for address in records(out)[1:]] == list(range(PAGES))
    assert server.asked == Counter([*paths, "/robots.txt"])
    assert found["fetched"] == len(paths) and found["disallowed"] == 2 * PAGES == len(found["left_out"]["not_allowed"])
    assert found["known"] == 3 * PAGES + 1 and not found["pending"] and seen[-1] == (found["known"],) * 2
    assert json.loads((out / "collected.json").read_text()) == found
    assert all(re.fullmatch(r"Luthier/\S+ \(\+me@a.example\)", agent) for *_, agent in server.times)
    assert collect(asked(server.at), out) == found and server.asked.total() == len(paths) + 1
    with pytest.raises(LuthierError, match="something else"):
        collect(asked(f"{server.at}/page/"), out)


def test_readers_of_warc(server: Server, tmp_path: Path) -> None:
    """Both libraries read every record, find the digests right, and the bytes of a page are the server's."""
    fastwarc, warcio = pytest.importorskip("fastwarc"), pytest.importorskip("warcio.archiveiterator")
    text = "<meta charset=gb18030><p>𠮷野家的中文<a href='/中文?问=答'>去</a>".encode("gb18030")
    where, plain = "/%E4%B8%AD%E6%96%87?%CE%CA=%B4%F0", b"plain text " * 1000  # a query is in the page's encoding
    server.pages["/"] = page(text, "text/html", Set_Cookie="secret=1", ETag='"1"')
    server.pages[where] = page(gzip.compress(plain), "text/plain", Content_Encoding="gzip")
    collect(asked(server.at), tmp_path)
    path = next((tmp_path / "warc").iterdir())
    with path.open("rb") as file:
        own = [(r.rec_type, r.content_stream().read()) for r in warcio.ArchiveIterator(file, check_digests="raise")]
    assert own[0][0] == "warcinfo" and own[1:] == [("response", text), ("response", plain)]
    with path.open("rb") as file:
        found = [(r.verify_block_digest(), r.reader.read()) for r in fastwarc.ArchiveIterator(file, parse_http=False)]
    assert all(right for right, _ in found) and found[1][1].endswith(text) and b"secret" not in found[1][1]
    assert records(tmp_path) == [f"{server.at}/", server.at + where]


def test_of_a_list(server: Server, tmp_path: Path) -> None:
    """Only those, whatever they link to; what is no address is said with its line, without its password."""
    site(server)
    server.pages["/moved"] = moved("/page/7")
    (tmp_path / "list").write_text(f"# two\n{server.at}/page/3\n\n{server.at}/page/3#x\n{server.at}/moved\n")
    found = collect(replace(asked(server.at, follow=False), starts=listed(tmp_path / "list")), tmp_path / "out")
    assert records(tmp_path / "out") == [f"{server.at}/page/3", f"{server.at}/page/7"] and found["redirected"] == 1
    (tmp_path / "list").write_text(f"{server.at}/a\nhttp://user:secret@host/\n")
    with pytest.raises(LuthierError, match=r"list, line 2: cannot be collected: .*password") as error:
        listed(tmp_path / "list")
    assert "secret" not in str(error.value)


def test_what_goes_wrong(server: Server, tmp_path: Path) -> None:
    """Each thing ends, is counted under its own name, and the rest goes on."""
    head, wait = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", threading.Event().wait
    behind: dict[str, Any] = {"/behind": page("<p>"), "/two": moved("/one")}
    behind |= {f"/chain/{i}": moved(f"{i + 1}") for i in range(9)}
    busy = [page("at last"), page(status=429), page(status=503, Retry_After="7")]
    server.pages |= behind | {
        "/slow": lambda handler: wait(3),
        "/never": lambda handler: all(handler.wfile.write(head + b"\r\n") for _ in iter(lambda: wait(0.02), True)),
        "/short": lambda handler: handler.wfile.write(head + b"Content-Length: 9\r\n\r\nshort"),
        "/nonsense": lambda handler: handler.wfile.write(b"\0\r\n"),
        "/large": page("x" * 50_000), "/bomb": page(gzip.compress(b"x" * 500_000), Content_Encoding="gzip"),
        "/image": page("x", "image/png"), "/404": page(status=404), "/500": page(status=500),
        "/busy": lambda handler: busy.pop()(handler), "/always": page(status=503),
        "/tomorrow": page(status=429, Retry_After="86400"), "/self": moved("/self"), "/one": moved("/two"),
        "/away": moved("http://192.0.2.1/"), "/hidden": page("<meta name=robots content=noindex><a href=/behind>"),
        "/still": page("<meta name='Robots' content='NOFOLLOW'><a href=/unseen>"),
        "/rel": page("<a rel='nofollow me' href=/unseen>"),
        "/header": page("<a href=/unseen>", X_Robots_Tag="googlebot: noindex, luthier: nofollow"),
    }  # fmt: skip
    server.link("/", *(path for path in server.pages if path not in behind), "/chain/0")
    clock = Still()
    found = collect(asked(server.at, timeout=0.6, largest=20_000), tmp_path, clock=clock)
    assert found["failed"] == {
        "broken_answer": 1, "broken_off": 1, "http_404": 1, "http_429": 1, "http_500": 1, "http_503": 1,
        "redirect_loop": 2, "timed_out": 2, "too_many_redirects": 1,
    }  # fmt: skip
    assert found["skipped"] == {"noindex": 1, "redirect_out_of_the_site": 1, "too_large": 2, "type image/png": 1}
    assert found["left_out"]["timed_out"] == [f"{server.at}/slow", f"{server.at}/never"]
    assert {record.rsplit("/")[-1] for record in records(tmp_path)} == {"", "behind", "busy", "still", "rel", "header"}
    assert server.asked["/busy"] == 3 and server.asked["/always"] == 4 and server.asked["/tomorrow"] == 1
    assert not server.asked["/unseen"] and server.asked["/chain/5"] and not server.asked["/chain/6"]
    assert clock.time == 7 + 4 + (2 + 4 + 8)


@pytest.mark.parametrize("pause", [1, 3])
def test_polite(server: Server, tmp_path: Path, pause: int) -> None:
    """One request a second and host, or as its robots.txt asks; two hosts are asked side by side."""
    clock, _ = Still(), site(server)
    server.now = clock.now
    server.pages["/robots.txt"] = page("User-agent: luthier\nCrawl-delay: 3\n" if pause == 3 else "")
    hosts = [server.at, server.at.replace("127.0.0.1", "localhost")]
    assert collect(asked(*hosts, delay=1.0, depth=1), tmp_path, clock=clock)["fetched"] == 6
    for host in (host.removeprefix("http://") for host in hosts):
        assert [when for other, when, _ in server.times if other == host] == [0, pause, 2 * pause, 3 * pause]


def test_limits_and_again(server: Server, tmp_path: Path) -> None:
    """--max-pages stops, and a larger one goes on; --max-depth; below the path, or the whole host. Asked again, pages
    that have not changed are not sent, or not written; those that have are."""
    paths, at = site(server), server.at
    assert collect(asked(at, pages=10), tmp_path / "a")["fetched"] == 10
    assert collect(asked(at), tmp_path / "a")["fetched"] == len(paths) == len(set(records(tmp_path / "a")))
    assert collect(asked(at, depth=2), tmp_path / "b")["fetched"] == 6
    server.link("/docs/a", "/docs/b", "/other", "c")
    assert collect(asked(f"{at}/docs/a"), tmp_path / "c")["known"] == 1  # below /docs/a there is nothing
    assert collect(replace(asked(f"{at}/docs/a"), host_wide=True), tmp_path / "d")["known"] == 4
    again = tmp_path / "again"
    server.link("/", "/tagged", "/same", "/changed")
    server.pages |= {"/tagged": page("x", ETag='"1"'), "/same": page("y"), "/changed": page("z", ETag='"1"')}
    collect(asked(server.at), again)
    server.pages["/changed"] = page("zz", ETag='"2"')
    assert collect(asked(server.at), again)["fetched"] == 4 and server.asked["/tagged"] == 1
    found = collect(asked(server.at), again, again=True)
    assert (found["fetched"], found["unchanged"], server.asked["/tagged"]) == (1, 3, 2)
    assert Counter(records(again))[f"{server.at}/changed"] == 2 and len(records(again)) == 5


def test_a_record_nobody_said_was_done(server: Server, tmp_path: Path) -> None:
    """Ended between a record and its commit, and in the middle of a record: both are cut off, and asked for again."""
    paths = site(server)
    with ending(State, "finish", lambda state, page, *rest: page.address.endswith("/page/9")):
        collect(asked(server.at), tmp_path)
    assert records(tmp_path).count(f"{server.at}/page/9") == 1
    file = tmp_path / "warc" / "00000.warc.gz"
    file.write_bytes(file.read_bytes() + b"\x1f\x8b\x08 half a record")
    (tmp_path / "warc" / "00001.warc.gz").write_bytes(b"begun")
    collect(asked(server.at), tmp_path)
    assert Counter(records(tmp_path)) == Counter(f"{server.at}{path}" for path in paths)
    file.write_bytes(b"short")
    with pytest.raises(LuthierError, match="damaged"):
        collect(asked(server.at), tmp_path)


def test_killed(server: Server, tmp_path: Path) -> None:
    """SIGKILL at four moments: every allowed page exactly once, and none of the others was ever asked for."""
    paths, out = site(server), tmp_path / "out"
    run = "import typer; from luthier.cli.collect import collect; typer.run(collect)"
    start = [sys.executable, "-c", run, server.at, "--out", str(out), "--delay", "0", "--allow-private"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for moment in (3, 40, 41, 120):  # requests
        with subprocess.Popen(start, env=env) as process:
            while len(server.times) < moment and process.poll() is None:
                time.sleep(0.001)
            assert process.poll() is None
            process.send_signal(signal.SIGKILL)
    said = subprocess.run(start, env=env, check=True, capture_output=True, text=True).stdout
    assert "601 addresses: 201 fetched" in said and "400 not allowed by robots.txt" in said
    assert Counter(records(out)) == Counter(f"{server.at}{path}" for path in paths)
    assert set(server.asked) == {*paths, "/robots.txt"}  # and once more what was under way at a kill:
    assert sum(server.asked[path] for path in paths) <= len(paths) + 4


def test_hosts_left_alone(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Private networks by any name, and behind a redirect; those whose robots.txt is 5xx, but not those with 4xx."""
    inner = "127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 ::1 :: fe80::1"
    inner += " fe80::1%eth0 fc00::1 fec0::1 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1::"
    assert not any(map(public, inner.split())) and public("93.184.216.34") and public("2606:2800:220:1::1")
    server.link("/")
    for name in ("127.0.0.1", "2130706433", "localhost"):
        with pytest.raises(requesting.Unfetched, match="private_network"):
            requesting.fetch(f"{server.at.replace('127.0.0.1', name)}/", {}, Limits())
    found = collect(asked(server.at, private=False), tmp_path / "a")
    assert found["failed"] == {"private_network": 1} and not server.asked
    server.pages["/away"] = moved(f"{server.at.replace('127.0.0.1', '127.0.0.2')}/")
    monkeypatch.setattr(requesting, "public", lambda network: network == "127.0.0.1")
    found = collect(asked(f"{server.at}/away", follow=False, private=False), tmp_path / "b")
    assert found["failed"] == {"private_network": 1} and not server.asked["/"]
    server.pages["/robots.txt"] = page(status=500)
    found = collect(asked(server.at), tmp_path / "c")
    assert found["left_alone"] == {server.at: "http_500"} and not server.asked["/"] and not records(tmp_path / "c")
    server.pages["/robots.txt"] = page(status=403)
    assert collect(asked(server.at), tmp_path / "d")["fetched"] == 1
