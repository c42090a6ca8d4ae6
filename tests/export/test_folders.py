"""Adapters that peft loads and folders that plain transformers loads, with the run's logits; and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import runs
import tiny
from luthier.core.errors import LuthierError
from luthier.export import adapter, merged
from luthier.export.parity import Check
from luthier.io.files import read_json, write_json
from runs import export, left_behind

Folder = Callable[[str], Path]
every_model = pytest.mark.parametrize("kind", tiny.MODELS)


@every_model
@pytest.mark.parametrize("method", ["lora", "soft_prompt", "p_tuning", "prefix"])
def test_peft_loads_the_adapter(kind: str, method: str, tiny_folder: Folder, tmp_path: Path) -> None:
    """Seen failing with A saved 1 % too large."""
    base = tiny_folder(kind)
    run = runs.finished(base, tmp_path / "run", method)
    checks = export(run, "adapter", tmp_path / "out")
    config = read_json(tmp_path / "out" / "adapter_config.json")
    assert config["base_model_name_or_path"] == base.name, "what others can find, not a path of this machine"
    plain = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager")
    loaded = peft.PeftModel.from_pretrained(plain, tmp_path / "out").eval()
    rows = runs.ids(tiny.fresh(base))
    ours = runs.of_run(run, base)
    theirs, untouched = runs.of_plain(loaded, rows), runs.of_plain(tiny.reference(base), rows)
    for one, two, before in zip(ours, theirs, untouched, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-4)
        assert (one - before).abs().max() > 0.05
    assert [c.where for c in checks] == ["PEFT", "PEFT", *["transformers"] * 3] and all(c.ok for c in checks)


@every_model
@pytest.mark.parametrize("method", ["lora", "full", "layers", "layers untied", "head"])
def test_transformers_loads_the_merged_folder(kind: str, method: str, tiny_folder: Folder, tmp_path: Path) -> None:
    """Seen failing with the configuration still saying that an untied head is tied."""
    base = tiny_folder(kind)
    method, _, untied = method.partition(" ")
    changes: dict[str, Any] = {"patch": {"untie": True}} if untied else {}
    run = runs.finished(base, tmp_path / "run", method, **changes)
    checks = export(run, "merged", tmp_path / "out")
    plain: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "out", attn_implementation="eager").eval()
    rows = runs.ids(tiny.fresh(base))
    untouched = runs.of_plain(tiny.reference(base), rows)
    for one, two, before in zip(runs.of_run(run, base), runs.of_plain(plain, rows), untouched, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-4)
        assert (one - before).abs().max() > 0.05
    shared = kind != "llama_untied" and method != "head" and not untied
    assert read_json(tmp_path / "out" / "config.json")["tie_word_embeddings"] is shared
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.chat_template == tiny.CHATML and all(c.ok for c in checks)
    assert (tmp_path / "out" / "generation_config.json").is_file()
    assert "luthier" not in (tmp_path / "out" / "config.json").read_text()
    assert left_behind(tmp_path) == []


def test_what_cannot_be_written_is_refused(tiny_folder: Folder, tmp_path: Path) -> None:
    base = tiny_folder("llama_tied")
    labelled: dict[str, Any] = {"data": tiny.LABELLED, "objective": {"name": "classify"}}
    head = runs.finished(base, tmp_path / "head", "head", **labelled)
    full = runs.finished(base, tmp_path / "full", "full", **labelled)
    soft = runs.finished(base, tmp_path / "soft", "soft_prompt")
    layers = runs.finished(base, tmp_path / "layers", "layers")
    shots = runs.finished(base, tmp_path / "shots", "few_shot", tiny.LABELLED)
    (tmp_path / "comparison" / "trials").mkdir(parents=True)
    (tmp_path / "taken").mkdir()
    lora = runs.finished(base, tmp_path / "lora")
    sliding = runs.finished(tiny_folder("qwen2_sliding"), tmp_path / "sliding")
    cases: list[tuple[Path, str, str, str]] = [
        (head, "adapter", "x", "label head, and PEFT"), (full, "gguf", "x", "label head, and GGUF"),
        (soft, "merged", "x", "cannot be merged.*--to adapter"), (soft, "gguf", "x", "cannot be merged"),
        (layers, "adapter", "x", "PEFT has no layout for layers"), (shots, "merged", "x", "changes no weights"),
        (tmp_path / "comparison", "merged", "x", "holds a comparison"), (tmp_path / "no", "gguf", "x", "not a run"),
        (lora, "merged", "taken", "exists already"), (sliding, "gguf", "x", "sliding window"),
    ]  # fmt: skip
    for run, to, out, why in cases:
        with pytest.raises(LuthierError, match=why):
            export(run, to, tmp_path / out)
    assert not (tmp_path / "x").exists() and left_behind(tmp_path) == []


def test_what_differs_is_not_published(tiny_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that were not merged, and another template: refused with the lines that differ, nothing left."""
    run = runs.finished(tiny_folder("llama_untied"), tmp_path / "run")
    monkeypatch.setattr(merged, "fold", lambda source: source.patch.detach(source.lm))
    with pytest.raises(LuthierError, match="logits in transformers, float32: differ by"):
        export(run, "merged", tmp_path / "out")
    monkeypatch.undo()

    def spoil(path: Path, value: Any) -> None:
        write_json(path, {**value, "lora_alpha": value["lora_alpha"] * 1.001})

    monkeypatch.setattr(adapter, "write_json", spoil)
    with pytest.raises(LuthierError, match="logits in PEFT: differ by"):
        export(run, "adapter", tmp_path / "out")
    monkeypatch.undo()
    copy = shutil.copyfile  # what is called last before the folder is read again

    def other_template(source: Path, target: Path) -> None:
        copy(source, target)
        (target.parent / "chat_template.jinja").write_text("{{ messages[0].content }}")

    monkeypatch.setattr(shutil, "copyfile", other_template)
    with pytest.raises(LuthierError, match="chat template in transformers: 0 of 3"):
        export(run, "merged", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]


def test_an_interrupted_export_leaves_nothing(
    tiny_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.finished(tiny_folder("llama_tied"), tmp_path / "run")

    def full_disk(*_: object, **__: object) -> Sequence[Check]:
        raise OSError(28, "No space left on device")

    for to, place in (("adapter", adapter), ("merged", merged)):
        monkeypatch.setattr(place, "compare_logits", full_disk)
        with pytest.raises(OSError, match="No space"):
            export(run, to, tmp_path / "deep" / "out")
    assert list((tmp_path / "deep").iterdir()) == []
