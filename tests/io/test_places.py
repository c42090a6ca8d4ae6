"""Files at an address behave as files here: whole or absent, linked, removed, locked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("upath")
from luthier.core.errors import LuthierError
from luthier.io import places
from luthier.io.files import LOCK, alone, held, read_json, replacing, write_json


@pytest.fixture
def far(request: pytest.FixtureRequest) -> Path:
    return places.place(f"memory://{re.sub('[^a-z0-9]', '-', request.node.name)}")


def test_a_name_is_a_path_unless_it_is_an_address(tmp_path: Path) -> None:
    assert places.place("clean") == Path("clean") and places.place(tmp_path) is tmp_path
    assert places.place("clean", tmp_path) == tmp_path / "clean"
    assert places.place("file:///tmp/a%20b") == places.place("file://localhost/tmp/a%20b") == Path("/tmp/a b")
    address = places.place("Memory://bucket/folder", tmp_path)
    assert str(address / "kept" / "0.parquet") == "memory://bucket/folder/kept/0.parquet"
    assert places.is_far(address) and not places.is_far(tmp_path)
    assert places.name_of(places.place("memory://bucket")) == "bucket" and places.name_of(address) == "folder"
    assert not places.is_address("C:/x") and not places.is_address("a/s3://b") and places.is_address("s3://b")
    assert not places.is_address("std::vector.txt") and not places.is_address("at 10:30/x")


@pytest.mark.parametrize(
    "name", ["nosuch://x", "https://h/d", "sftp://h/x", "s3:/b/x", "simplecache::s3://b/x", "s3://"]
)
def test_what_is_no_address_of_ours_is_said(name: str) -> None:
    with pytest.raises(LuthierError, match=f"^{re.escape(name)}: an address is one of s3://, .*, or a path$"):
        places.place(name)


@pytest.mark.parametrize("name", ["s3://key:secret@bucket/x", "https://user:secret@host/x", "nosuch://secret@b"])
def test_keys_in_an_address_are_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(LuthierError, match="no keys in an address") as error:
        places.place(name)
    assert "secret" not in str(error.value) and "key:" not in str(error.value)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LuthierError, match=r"pip install 'luthier\[remote\]'"):
        places.place("memory://x")


def test_a_file_is_there_as_a_whole_or_not_at_all(far: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = far / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half of")
        raise KeyboardInterrupt
    assert read_json(path) == {"a": 1} and places.members(far) == ["a.json"]


@pytest.mark.parametrize("kind", ["far", "here"])
def test_names_are_names_and_no_patterns(kind: str, far: Path, tmp_path: Path) -> None:
    """Seen failing by fsspec's own removing, which emptied x1/ when x[1]/ was meant."""
    top = far if kind == "far" else tmp_path
    for folder in ("x[1]", "x1", "a*", "abc", "a?c", "a%20 #b"):
        path = top / folder / "kept" / "0.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(folder.encode())
    assert [path.read_bytes() for path in places.files(top / "x[1]")] == [b"x[1]"]
    places.link(top / "x[1]" / "kept" / "0.txt", top / "a%20 #b" / "kept" / "1.txt")
    assert places.members(top / "a%20 #b" / "kept") == ["0.txt", "1.txt"]
    places.unlink(top / "a?c" / "kept" / "0.txt")
    places.unlink(top / "a?c" / "kept" / "0.txt")  # what is not there is no fault
    for folder in ("x[1]", "a*", "a*"):
        places.remove(top / folder / "kept")
    left = {path.relative_to(top).as_posix(): path.read_bytes() for path in places.files(top)}
    assert left == {
        "a%20 #b/kept/0.txt": b"a%20 #b", "a%20 #b/kept/1.txt": b"x[1]", "abc/kept/0.txt": b"abc",
        "x1/kept/0.txt": b"x1",
    }  # fmt: skip


def test_files_come_in_one_order_wherever_they_lie(far: Path, tmp_path: Path) -> None:
    names = ["a.txt", "a/0.txt", "a b/0.txt", "a-1.txt", ".hidden/0.txt", "a/.hidden.txt", "中/0.txt"]
    for top in (far, tmp_path):
        for name in names:
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_bytes(b"")
    found = [[path.relative_to(top).as_posix() for path in places.files(top)] for top in (far, tmp_path)]
    assert found[0] == found[1] == ["a/0.txt", "a b/0.txt", "a-1.txt", "a.txt", "中/0.txt"]
    assert places.files(far / "a.txt") == [far / "a.txt"] and places.members(far / "nothing") == []


def test_copies_and_links(far: Path, tmp_path: Path) -> None:
    (far / "kept" / "0.txt").write_bytes(b"text")
    with places.local(far / "kept" / "0.txt") as copy:
        assert copy.name == "0.txt" and copy.read_bytes() == b"text"
    assert not copy.exists()
    (tmp_path / "0.txt").write_bytes(b"text")
    places.link(tmp_path / "0.txt", tmp_path / "out" / "0.txt")
    with places.local(tmp_path / "out" / "0.txt") as same:
        assert same == tmp_path / "out" / "0.txt" and same.samefile(tmp_path / "0.txt")


def test_a_change_of_a_file_is_seen(far: Path, tmp_path: Path) -> None:
    for folder in (far, tmp_path):
        path = folder / "a.txt"
        path.write_bytes(b"one")
        before = places.mark(path)
        assert places.mark(path) == before
        path.write_bytes(b"three")
        assert places.mark(path) != before
    assert places.told_contents(far / "a.txt") == ""  # this storage says nothing that hangs on the bytes alone


def test_two_commands_of_one_machine_do_not_write_to_one_address(far: Path) -> None:
    assert not held(far / LOCK)
    with alone(far / LOCK, "at work"):
        assert held(far / LOCK)
        with pytest.raises(LuthierError, match="at work"), alone(far / LOCK, "at work"):
            pass
    assert not held(far / LOCK)


def test_faults_of_a_storage_are_said_with_the_address(far: Path, tmp_path: Path) -> None:
    class NoKeysError(Exception):
        """As a storage's library would raise it."""

    NoKeysError.__module__ = "botocore.exceptions"
    with pytest.raises(LuthierError, match=r"memory://\S+: no keys"), places.said(far, tmp_path):
        raise NoKeysError("no  keys")
    with pytest.raises(LuthierError, match="Access Denied"), places.said(far):
        raise PermissionError("Access Denied")
    with pytest.raises(NoKeysError), places.said(tmp_path):
        raise NoKeysError
    with pytest.raises(KeyError), places.said(far):  # a fault of ours
        raise KeyError("x")
    assert places.is_fault(NoKeysError()) and not places.is_fault(KeyError())
