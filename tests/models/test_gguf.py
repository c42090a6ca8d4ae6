"""Importing GGUF files. The oracle is transformers' own GGUF loader, on tiny random files and on the real one.

Planted bugs these tests were tried against: q and k written without undoing the permutation; offsets of the tensors
counted from the end of the header without alignment; `tie_word_embeddings` always true.
"""

from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

import luthier.models.loading.gguf
from luthier.core.errors import LuthierError
from luthier.models.loading.bundled import _model_file, embedded_model, sha256_of
from luthier.models.loading.gguf import SUPPORTED, import_gguf
from luthier.models.loading.gguf_header import read_header
from luthier.models.loading.load import load_base, resolve
from tiny_gguf import (
    F16,
    LLAMA_KEYS,
    Q8_0,
    TINY,
    add_sentencepiece_vocabulary,
    tiny,
)

TEXTS = (
    "Hello, world! 12345",
    "  two  spaces\n\nand\ttabs ",
    "今天天气很好，我们去公园吧。",
    "emoji 🙂👩‍👩‍👧 é ü ñ",
    "<|im_start|>user\nhi<|im_end|>\n",
)
CHAT = [{"role": "user", "content": "How are you? 你好"}, {"role": "assistant", "content": "Fine."}]


def assert_equal_to_transformers(source: Path, folder: Path) -> None:
    """Same tensors, configuration, tokens and chat text from `folder` as from transformers' GGUF loader."""
    place = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    theirs: Any = AutoModelForCausalLM.from_pretrained(
        **place, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )
    ours: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    expected, found = theirs.state_dict(), ours.state_dict()
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name
    tied = theirs.config.tie_word_embeddings
    assert (ours.get_output_embeddings().weight is ours.get_input_embeddings().weight) == tied
    ignored = {"_name_or_path", "_model_name_or_path", "architectures", "quantization_config", "transformers_version"}
    kept = [{k: v for k, v in each.config.to_dict().items() if k not in ignored} for each in (theirs, ours)]
    assert kept[0] == kept[1]
    assert getattr(ours.config, "quantization_config", None) is None
    keys = ("bos_token_id", "eos_token_id", "pad_token_id")
    assert [getattr(theirs.generation_config, k) for k in keys] == [getattr(ours.generation_config, k) for k in keys]
    assert_same_tokens(AutoTokenizer.from_pretrained(**place), AutoTokenizer.from_pretrained(folder))


def assert_same_tokens(theirs: Any, ours: Any) -> None:
    assert len(ours) == len(theirs) and ours.special_tokens_map == theirs.special_tokens_map
    for text in TEXTS:
        ids = theirs(text).input_ids
        assert ours(text).input_ids == ids
        assert ours.decode(ids) == theirs.decode(ids)
        assert ours(text, add_special_tokens=False).input_ids == theirs(text, add_special_tokens=False).input_ids
    assert ours.chat_template == theirs.chat_template
    if theirs.chat_template:
        for generate in (False, True):
            texts = [
                t.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=generate) for t in (theirs, ours)
            ]
            assert texts[0] == texts[1]


EPSILON = {"attention.layer_norm_epsilon": 1e-5}
GPT2_KEYS = {"embedding_length": 64, "block_count": 2, "attention.head_count": 4} | EPSILON
GEMMA: dict[str, Any] = {
    "keys": LLAMA_KEYS | {"attention.key_length": 16, "attention.sliding_window": 64},
    "config": TINY | {"head_dim": 16},
    "vocabulary": add_sentencepiece_vocabulary,
}
MAMBA_KEYS = {"context_length": 128, "embedding_length": 64, "block_count": 2, "attention.layer_norm_rms_epsilon": 1e-5}
SSM_KEYS = {"ssm.conv_kernel": 4, "ssm.state_size": 16, "ssm.time_step_rank": 4, "ssm.inner_size": 128}
EXPERT_KEYS = LLAMA_KEYS | {"expert_count": 4, "expert_used_count": 2, "attention.key_length": 16}
EXPERTS = TINY | {"num_experts": 4, "num_experts_per_tok": 2, "head_dim": 16}
CASES: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama-q8": {"kind": Q8_0},
    "llama-untied-sentencepiece": {"tied": False, "vocabulary": add_sentencepiece_vocabulary, "kind": F16},
    "qwen2": {"arch": "qwen2", "tied": False},
    "qwen3": {"arch": "qwen3", "config": TINY | {"head_dim": 128}},
    "gemma2": {"arch": "gemma2", **GEMMA},
    "gemma3": {"arch": "gemma3", "model_type": "gemma3_text", **GEMMA},
    "phi3": {"arch": "phi3", "config": TINY | {"pad_token_id": 0}},
    "gpt2": {
        "arch": "gpt2",
        "keys": GPT2_KEYS | {"context_length": 1024, "feed_forward_length": 256},
        "config": {"n_embd": 64, "n_layer": 2, "n_head": 4},
    },
    "starcoder2": {"arch": "starcoder2", "keys": LLAMA_KEYS | EPSILON},
    "stablelm": {"arch": "stablelm", "keys": LLAMA_KEYS | EPSILON},
    "nemotron": {"arch": "nemotron"},
    "falcon": {"arch": "falcon", "config": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}},
    "bloom": {"arch": "bloom", "keys": GPT2_KEYS, "config": {"hidden_size": 64, "n_layer": 2, "n_head": 4}},
    "mamba": {
        "arch": "mamba",
        "keys": MAMBA_KEYS | SSM_KEYS,
        "config": {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "time_step_rank": 4},
    },
    "qwen2moe": {"arch": "qwen2moe", "model_type": "qwen2_moe", "keys": EXPERT_KEYS, "config": EXPERTS},
    "qwen3moe": {"arch": "qwen3moe", "model_type": "qwen3_moe", "keys": EXPERT_KEYS, "config": EXPERTS},
}


@pytest.mark.parametrize("case", CASES)
def test_import_equals_transformers(case: str, tmp_path: Path) -> None:
    source = tiny(tmp_path / "tiny.gguf", **CASES[case])
    import_gguf(source, tmp_path / "folder")
    assert_equal_to_transformers(source, tmp_path / "folder")


def test_every_supported_architecture_is_tested() -> None:
    assert {case.get("arch", "llama") for case in CASES.values()} == set(SUPPORTED)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_header(source: Path) -> None:
    header = read_header(source)
    assert header.architecture == "llama"
    assert header.integer("llama.block_count") == 2
    assert header.length("tokenizer.ggml.merges") == 8
    reader = gguf.GGUFReader(source)
    for ours, theirs in zip(header.tensors, reader.tensors, strict=True):
        assert ours.name == theirs.name
        assert ours.shape == tuple(int(size) for size in reversed(theirs.shape))
        assert (ours.start, ours.nbytes) == (theirs.data_offset, theirs.n_bytes)


def test_folder_is_whole_or_absent(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(luthier.models.loading.gguf, "_write_tokenizer", full)
    with pytest.raises(LuthierError, match="No space left"):
        import_gguf(source, tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_files_beside_the_gguf_are_not_mixed_in(tmp_path: Path) -> None:
    source = tiny(tmp_path / "tiny.gguf")
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "T5Tokenizer"}')
    import_gguf(source, tmp_path / "folder")
    assert AutoTokenizer.from_pretrained(tmp_path / "folder").convert_tokens_to_ids("hello") == 262


def test_imported_folder_can_be_saved_again(source: Path, tmp_path: Path) -> None:
    import_gguf(source, tmp_path / "folder")
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "folder")
    model.save_pretrained(tmp_path / "again")
    again: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "again")
    assert model.dtype == torch.float32
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_resolve_imports_a_file_once(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    folder = resolve(str(source))
    assert isinstance(folder, Path) and folder.is_relative_to(tmp_path / "cache")
    assert sha256_of(source)[:12] in folder.name
    monkeypatch.setattr(luthier.models.loading.gguf, "import_gguf", lambda *_: pytest.fail("imported twice"))
    assert resolve(source) == folder
    model, tokenizer = load_base(str(source))
    assert not model.training and len(tokenizer) == model.config.vocab_size


@pytest.mark.slow
def test_embedded_model_equals_transformers(tmp_path: Path) -> None:
    """On the real file; transformers' loader needs up to a minute for it."""
    folder = embedded_model()
    assert_equal_to_transformers(_model_file(), folder)
