"""Files at an address behave as files here: whole or absent, linked, removed, locked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("upath")
from luthier.core.errors import LuthierError
from luthier.io import places
from luthier.io.files import LOCK, alone, held, read_json, write_json


@pytest.fixture
def far(request: pytest.FixtureRequest) -> Path:
    return places.place(f"memory://{re.sub('[^a-z0-9]', '-', request.node.name)}")


def test_a_name_is_a_path_unless_it_is_an_address(tmp_path: Path) -> None:
    assert places.place("clean") == Path("clean") and places.place(tmp_path) is tmp_path
    assert places.place("clean", tmp_path) == tmp_path / "clean"
    assert places.place("file:///tmp/x") == Path("/tmp/x")
    address = places.place("memory://bucket/folder", tmp_path)
    assert str(address / "kept" / "0.parquet") == "memory://bucket/folder/kept/0.parquet"
    assert places.is_far(address) and not places.is_far(tmp_path)
    assert not places.is_address("C:/x") and not places.is_address("a/s3://b") and places.is_address("s3://b")


def test_what_nothing_reads_is_said() -> None:
    with pytest.raises(LuthierError, match="nosuch://x: nothing reads such addresses"):
        places.place("nosuch://x")


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LuthierError, match=r"pip install 'luthier\[remote\]'"):
        places.place("memory://x")


@pytest.mark.parametrize("objects", [places.OBJECTS, set()])
def test_a_file_is_there_as_a_whole_or_not_at_all(
    far: Path, objects: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "OBJECTS", objects)  # without them it is put under another name first
    path = far / f"{len(objects)}" / "a.json"
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1} and [one.name for one in path.parent.iterdir()] == ["a.json"]


def test_links_copies_and_whole_folders(far: Path, tmp_path: Path) -> None:
    (far / "kept" / "0.txt").write_bytes(b"text")
    places.link(far / "kept" / "0.txt", far / "out" / "0.txt")
    with places.local(far / "out" / "0.txt") as copy:
        assert copy.name == "0.txt" and copy.read_bytes() == b"text"
    assert not copy.exists()
    places.remove(far / "kept")
    places.remove(far / "kept")  # what is not there is no fault
    assert not (far / "kept").exists() and (far / "out" / "0.txt").exists()
    (tmp_path / "0.txt").write_bytes(b"text")
    places.link(tmp_path / "0.txt", tmp_path / "out" / "0.txt")
    with places.local(tmp_path / "out" / "0.txt") as same:
        assert same == tmp_path / "out" / "0.txt" and same.samefile(tmp_path / "0.txt")
    places.remove(tmp_path / "out")
    assert not (tmp_path / "out").exists()


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
    assert not held(far / LOCK) and not (far / LOCK).exists()


def test_faults_of_a_storage_are_said_with_the_address(far: Path, tmp_path: Path) -> None:
    class NoKeysError(Exception):
        """As a storage's library would raise it."""

    with pytest.raises(LuthierError, match=r"memory://\S+: no keys"), places.said(far, tmp_path):
        raise NoKeysError("no  keys")
    with pytest.raises(LuthierError, match="Access Denied"), places.said(far):
        raise PermissionError("Access Denied")
    with pytest.raises(NoKeysError), places.said(tmp_path):
        raise NoKeysError
    with pytest.raises(KeyError), places.said(far):  # a fault of ours
        raise KeyError("x")
