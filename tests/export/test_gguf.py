"""GGUF files: our import gives the model back, llama.cpp takes the same next tokens, what differs is not published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import runs
from luthier.core.errors import LuthierError
from luthier.export import gguf_file, gguf_tokenizer
from luthier.export.gguf_file import rotary_order, write_gguf
from luthier.models.loading.gguf import import_gguf
from runs import export, left_behind

Folder = Callable[[str], Path]
KINDS = ("llama_tied", "llama_untied", "llama-16", "qwen2", "qwen3", "qwen3-8", "qwen3-16")
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def made(tiny_folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Folders of tiny models that GGUF export writes."""
    found: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind.startswith("llama_"):
            return tiny_folder(kind)
        if kind not in found:
            found[kind] = runs.another(kind, tmp_path_factory.mktemp(kind))
        return found[kind]

    return folder


def loaded(folder: Path) -> tuple[Any, Any]:
    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def q8_0(values: torch.Tensor) -> torch.Tensor:
    """The numbers that Q8_0 stands for, by its definition: 32 in a row share the scale max/127, a float16."""
    blocks = values.detach().numpy().reshape(-1, 32)
    scale = np.abs(blocks).max(1, keepdims=True) / 127
    whole = np.where(scale > 0, blocks / np.where(scale > 0, scale, 1), 0)
    whole = np.sign(whole) * np.floor(np.abs(whole) + 0.5)  # halves away from zero
    return torch.from_numpy(whole * scale.astype(np.float16).astype(np.float32)).reshape(values.shape)


def stands_for(values: torch.Tensor, kind: str) -> torch.Tensor:
    """What is left of a tensor in a file of that kind."""
    if values.dim() < 2 or kind == "f32":
        return values
    return q8_0(values) if kind == "q8_0" and values.shape[-1] % 32 == 0 else values.half().float()


@every_kind
@pytest.mark.parametrize("numbers", ["f32", "f16", "q8_0"])
def test_import_gives_the_model_back(kind: str, numbers: Any, made: Folder, tmp_path: Path) -> None:
    """Seen failing with query rows left in transformers' order, and with heads of Qwen3 that are not 128 wide."""
    model, tokenizer = loaded(made(kind))
    write_gguf(model, tokenizer, tmp_path / "m.gguf", numbers, "tiny")
    import_gguf(tmp_path / "m.gguf", tmp_path / "back")
    again, tokens = loaded(tmp_path / "back")
    before, after = model.state_dict(), again.state_dict()
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], stands_for(tensor, numbers), rtol=1e-6, atol=1e-7, msg=name)
    assert tokens.chat_template == tokenizer.chat_template
    assert tokens("the parcel 12 退款<|im_end|>")["input_ids"] == tokenizer("the parcel 12 退款<|im_end|>")["input_ids"]
    assert (again.config.tie_word_embeddings, tokens.eos_token) == (model.config.tie_word_embeddings, "<|im_end|>")


def test_types_in_the_file(made: Folder, tmp_path: Path) -> None:
    """Matrices are Q8_0, F16 where a row is no multiple of 32, vectors F32; a tied head is not written twice."""
    write_gguf(*loaded(made("llama_tied")), tmp_path / "m.gguf", "q8_0", "tiny")
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    types = {t.name: t.tensor_type.name for t in reader.tensors}
    assert types["blk.0.attn_q.weight"] == types["token_embd.weight"] == "Q8_0"
    assert types["blk.0.ffn_down.weight"] == "F16" and types["blk.0.attn_norm.weight"] == "F32"
    assert "output.weight" not in types
    assert reader.fields["general.file_type"].contents() == gguf.LlamaFileType.MOSTLY_Q8_0


def test_rotary_order_by_hand() -> None:
    """Two heads of four rows: halves (0 1)(2 3) interleave to 0 2 1 3."""
    assert rotary_order(np.arange(8)[:, None], 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@every_kind
@pytest.mark.parametrize("numbers", ["f16", "q8_0"])
def test_llama_cpp_continues_like_the_run(kind: str, numbers: str, made: Folder, tmp_path: Path) -> None:
    """llama.cpp's own tokens, template and next tokens. Seen failing with query rows in transformers' order and the
    check by import switched off."""
    pytest.importorskip("xllamacpp")
    run = runs.finished(made(kind), tmp_path / "run")
    checks = export(run, "gguf", tmp_path / "out.gguf", numbers)
    assert [(c.what, c.ok) for c in checks if c.where == "llama.cpp"] == [
        ("chat template", True), ("tokens", True), ("next tokens", True),
    ]  # fmt: skip
    assert left_behind(tmp_path) == []


def test_next_tokens_of_llama_cpp_greedily(made: Folder, tmp_path: Path) -> None:
    """Eight tokens on, one by one, from transformers with the merged weights and from llama.cpp with the file."""
    pytest.importorskip("xllamacpp")
    from luthier.export.llama_cpp import LlamaCpp

    run = runs.finished(made("llama_untied"), tmp_path / "run")
    export(run, "gguf", tmp_path / "out.gguf")
    export(run, "merged", tmp_path / "merged")
    model, tokenizer = loaded(tmp_path / "merged")
    there = LlamaCpp(tmp_path / "out.gguf", 1)
    for text in runs.TEXTS:
        ids = tokenizer(text)["input_ids"]
        assert there.tokens(text) == ids
        for _ in range(8):
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
            assert logits.max() - logits[there.next_token(ids)] < 0.02  # a tie, for 16-bit keys and values
            ids.append(int(logits.argmax()))


def test_a_file_that_differs_is_not_published(made: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.finished(made("llama_tied"), tmp_path / "run")
    monkeypatch.setattr(gguf_file, "rotary_order", lambda rows, heads: rows)
    with pytest.raises(LuthierError, match="logits in transformers: differ by"):
        export(run, "gguf", tmp_path / "out.gguf")
    monkeypatch.undo()
    vocabulary = gguf_tokenizer._vocabulary

    def swapped(*arguments: Any) -> Any:
        tokens, types = vocabulary(*arguments)
        one, two = tokens.index("e"), tokens.index("o")
        tokens[one], tokens[two] = tokens[two], tokens[one]
        return tokens, types

    monkeypatch.setattr(gguf_tokenizer, "_vocabulary", swapped)
    with pytest.raises(LuthierError, match=r"tokens in (transformers|llama\.cpp): "):
        export(run, "gguf", tmp_path / "out.gguf")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]


def test_architectures_and_tokenizers_that_are_not_known(made: Folder, tmp_path: Path) -> None:
    from tokenizers import pre_tokenizers
    from transformers import GPT2Config

    model, tokenizer = loaded(made("llama_tied"))
    path = tmp_path / "m.gguf"
    model.config.rope_parameters = {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0}
    with pytest.raises(LuthierError, match="rotary scaling llama3"):
        write_gguf(model, tokenizer, path, "f16", "tiny")
    with pytest.raises(LuthierError, match="a gpt2 model cannot be written"):
        gguf_file.check_architecture(GPT2Config(), "tiny")
    model.config.rope_parameters = {"rope_type": "default", "rope_theta": 1e4}
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(LuthierError, match="splits text"):
        write_gguf(model, tokenizer, path, "f16", "tiny")
    assert not path.exists()


@pytest.mark.slow
@pytest.mark.parametrize("to", ["adapter", "merged", "f16", "q8_0"])
def test_the_embedded_model(to: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """LoRA on SmolLM2, a few steps: all three forms say what the run says, llama.cpp among them."""
    from luthier import api
    from luthier.io.config import recipe_from

    values = {"data": {"path": "tickets", "limit": 40}, "training": {"tokens": 600, "batch": 4}, "dtype": "float32"}
    run = api.train(recipe_from({**values, "threads": 1}), tmp_path_factory.getbasetemp() / "embedded-lora")
    form = "gguf" if to in ("f16", "q8_0") else to
    checks = export(run, form, tmp_path / ("out.gguf" if form == "gguf" else "out"), to)
    assert checks and all(c.ok for c in checks)
