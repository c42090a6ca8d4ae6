"""Finding and loading base models: folders, hub ids; and what is said when they cannot be loaded."""

import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors
from safetensors.torch import load_file, save_file
from transformers import BartConfig, BertConfig, GPT2Config, LlamaConfig, ModernBertConfig, PreTrainedConfig, T5Config

from luthier.core.errors import LuthierError
from luthier.models.loading import load
from luthier.models.loading.fingerprint import fingerprint
from luthier.models.loading.gguf import import_gguf
from luthier.models.loading.kinds import kind_of
from luthier.models.loading.load import load_base, resolve
from tiny_gguf import tiny


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("load")
    import_gguf(tiny(folder / "tiny.gguf"), folder / "model")
    return folder / "model"


@pytest.fixture
def folder(ready: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ready, tmp_path / "model"))


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_folder(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model, tokenizer = load_base(str(folder))
    assert not model.training and model.dtype == torch.float32
    assert model.config._attn_implementation == "sdpa"
    assert tokenizer.decode(tokenizer("hello world").input_ids) == "hello world"
    assert capfd.readouterr() == ("", "")


def test_type_and_attention(folder: Path) -> None:
    model, _ = load_base(folder, dtype="bfloat16", attention="eager")
    assert model.dtype == torch.bfloat16 and model.config._attn_implementation == "eager"
    with pytest.raises(LuthierError, match="float32, bfloat16, float16"):
        load_base(folder, dtype="int4")
    with pytest.raises(LuthierError, match="quantum"):
        load_base(folder, attention="quantum")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("weights.bin", r"has no config\.json.*Name the folder that holds it"),
        ("adapter_config.json", r"holds an adapter: name its base model"),
        ("model.gguf", r"name the file itself, .*model\.gguf"),
    ],
)
def test_folder_without_config(file: str, message: str, tmp_path: Path) -> None:
    (tmp_path / file).touch()
    with pytest.raises(LuthierError, match=message):
        resolve(str(tmp_path))


def test_pickle_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(LuthierError, match=r"pickle files.*convert them once: python -c"):
        load_base(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(LuthierError, match="holds no weights"):
        load_base(folder)


def test_code_is_refused(folder: Path) -> None:
    names = {"AutoConfig": "configuration_mine.Mine", "AutoModelForCausalLM": "modeling_mine.Mine"}
    edit_config(folder, model_type="mine", auto_map=names)
    (folder / "configuration_mine.py").write_text("raise SystemExit('code was run')")
    with pytest.raises(LuthierError, match="needs Python code"):
        load_base(folder)
    edit_config(folder, model_type="llama")  # transformers' own class is used, as it always is with a native one
    load_base(folder)


def test_incomplete_folders(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    save_file({key: value for key, value in weights.items() if key != name}, folder / "model.safetensors")
    with pytest.raises(LuthierError, match=rf"1 weights are missing, the first is {name}"):
        load_base(folder)
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(LuthierError, match=r"cannot be loaded.*check that it is whole"):
        load_base(folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {name: "model-00002.safetensors"}}))
    with pytest.raises(LuthierError, match=r"lacks 1 weight files, the first is model-00002\.safetensors"):
        load_base(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(LuthierError, match=r"config\.json: cannot be read as JSON"):
        load_base(folder)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("vit", "a vit model is no language model that can be adapted here"),
        ("whisper", "a whisper model is no language model"),
        ("t5", "weights are missing, .* or no encoder-decoder"),
        ("bert", "weights are missing, .* or no encoder"),
    ],
)
def test_another_kind_of_model(kind: str, message: str, folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": kind, "d_model": 8, "num_layers": 1}))
    with pytest.raises(LuthierError, match=message):
        load_base(folder)


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (BertConfig(), "encoder"),
        (BertConfig(is_decoder=True), "causal"),
        (ModernBertConfig(), "encoder"),
        (GPT2Config(), "causal"),
        (LlamaConfig(), "causal"),
        (T5Config(), "seq2seq"),
        (BartConfig(), "seq2seq"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_kinds(config: PreTrainedConfig, kind: str) -> None:
    assert kind_of(config, "name") == kind


@pytest.mark.parametrize("name", ["./nothing", "/no/such/folder", "~/nothing-here", "a/b/c", "missing.gguf"])
def test_no_such_path(name: str) -> None:
    with pytest.raises(LuthierError, match="there is no such"):
        load_base(name)


def test_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(LuthierError, match="neither a folder nor a"):
        resolve(str(tmp_path / "notes.txt"))


def test_name_that_cannot_be_a_hub_id() -> None:
    with pytest.raises(LuthierError, match="cannot be a hub id"):
        load_base("no spaces allowed")


class Response:
    """What the hub's errors ask of a reply."""

    headers: dict[str, str] = {}  # noqa: RUF012
    request = None
    status_code = 404


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.RepositoryNotFoundError("404", response=Response()), "no such model on the hub"),  # type: ignore[arg-type]
        (errors.GatedRepoError("403", response=Response()), "asks for an agreement"),  # type: ignore[arg-type]
        (errors.OfflineModeIsEnabled("offline"), "hub cannot be reached"),
        (ConnectionError("no route"), "hub cannot be reached"),
        (TimeoutError("slow"), "hub cannot be reached"),
    ],
)
def test_hub_errors(error: Exception, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", fail)
    with pytest.raises(LuthierError, match=f"owner/nothing-of-the-kind: .*{message}"):
        load_base("owner/nothing-of-the-kind")
    with pytest.raises(LuthierError, match="load it once with a network"):
        fingerprint("owner/nothing-of-the-kind")


def test_hub_model_in_the_cache(ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is in the hub's cache loads without a question to the hub."""
    cached = tmp_path / "models--owner--name"
    shutil.copytree(ready, cached / "snapshots" / "abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(load, "check_hub", lambda _: pytest.fail("the hub was asked"))
    model, _ = load_base("owner/name")
    assert model.config.hidden_size == 64 and model.name_or_path == "owner/name"
    assert fingerprint("owner/name") == fingerprint(ready)


def test_fingerprint(folder: Path, ready: Path) -> None:
    before = fingerprint(str(folder))
    assert before == fingerprint(ready) and len(before) == 16
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    changed = fingerprint(folder)
    edit_config(folder, rope_theta=1.0)
    assert len({before, changed, fingerprint(folder)}) == 3


def test_part_of_a_hub_model_in_the_cache(ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "models--owner--name" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--owner--name" / "refs").mkdir()
    (tmp_path / "models--owner--name" / "refs" / "main").write_text("abc")
    shutil.copy(ready / "config.json", snapshot)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))

    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", fail)
    with pytest.raises(LuthierError, match="hub cannot be reached"):
        load_base("owner/name")
