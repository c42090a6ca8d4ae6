"""GGUF files that are cut off, damaged or of another kind: a LuthierError that names the file, never anything else."""

from pathlib import Path

import gguf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luthier.core.errors import LuthierError
from luthier.models.loading.gguf import import_gguf
from luthier.models.loading.gguf_header import read_header
from tiny_gguf import tiny


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_cut_off_anywhere(source: Path, tmp_path: Path) -> None:
    whole = source.read_bytes()
    cut = tmp_path / "cut.gguf"
    for size in range(0, len(whole), len(whole) // 500):
        cut.write_bytes(whole[:size])
        with pytest.raises(LuthierError, match=r"cut\.gguf"):
            import_gguf(cut, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def headers_end(source: Path) -> int:
    return min(tensor.start for tensor in read_header(source).tensors)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_header(data: st.DataObject, source: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Bytes changed at random, two of three in the settings before the vocabulary: LuthierError or success."""
    damaged = bytearray(source.read_bytes())
    end = data.draw(st.sampled_from([600, 600, headers_end(source)]))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(4, end - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "damaged.gguf").write_bytes(damaged)
    try:
        import_gguf(folder / "damaged.gguf", folder / "model")
    except LuthierError as error:
        assert "damaged.gguf" in str(error)
        assert not (folder / "model").exists()
    assert {path.name for path in folder.iterdir()} <= {"damaged.gguf", "model"}


@pytest.mark.parametrize("key", ["block_count", "embedding_length", "attention.head_count", "feed_forward_length"])
@pytest.mark.parametrize("value", [0, 3, 2**31])
def test_wrong_numbers(key: str, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "wrong.gguf"
    add = gguf.GGUFWriter.add_uint32
    monkeypatch.setattr(
        gguf.GGUFWriter, "add_uint32", lambda self, k, v: add(self, k, value if k == f"llama.{key}" else v)
    )
    tiny(source)
    with pytest.raises(LuthierError, match=r"wrong\.gguf"):
        import_gguf(source, tmp_path / "folder")


def test_unknown_architecture_lists_the_known(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "odd.gguf", "odd")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(LuthierError, match=r"'odd' cannot be imported.*llama.*qwen2"):
        import_gguf(tmp_path / "odd.gguf", tmp_path / "folder")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"PK\x03\x04 a zip", "not a GGUF file"),
        (b"GGUF\x01\0\0\0" + bytes(16), "version 1"),
        (b"GGUF\0\0\0\x03" + bytes(16), "big-endian"),
        (b"GGUF\x03\0\0\0" + b"\xff" * 16, "more than fit"),
        (b"GGUF\x03\0\0\0" + bytes(16), "does not name an architecture"),
    ],
)
def test_not_a_gguf_file(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "no.gguf").write_bytes(content)
    with pytest.raises(LuthierError, match=message):
        read_header(tmp_path / "no.gguf")


def test_missing_tensor_and_existing_folder(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add = gguf.GGUFWriter.add_tensor
    monkeypatch.setattr(
        gguf.GGUFWriter,
        "add_tensor",
        lambda self, name, *a, **k: None if name == "blk.1.ffn_up.weight" else add(self, name, *a, **k),
    )
    part = tiny(tmp_path / "part.gguf")
    with pytest.raises(LuthierError, match=r"1 of the model's weights are not in it.*layers\.1\.mlp\.up_proj"):
        import_gguf(part, tmp_path / "folder")
    (tmp_path / "there").mkdir()
    with pytest.raises(LuthierError, match="exists already"):
        import_gguf(source, tmp_path / "there")


def test_layer_that_the_metadata_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tiny(tmp_path / "more.gguf")
    at = source.read_bytes().index(b"llama.block_count") + len("llama.block_count") + 4
    damaged = bytearray(source.read_bytes())
    assert damaged[at] == 2
    damaged[at] = 1
    source.write_bytes(damaged)
    with pytest.raises(LuthierError, match=r"9 of its tensors have no place .* blk\.1\."):
        import_gguf(source, tmp_path / "folder")
