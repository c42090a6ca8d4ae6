"""`luthier doctor` and `luthier export` at the command line."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import runs
from commands import said
from luthier.cli import diagnosis
from luthier.io.files import read_json


def test_doctor_says_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    text = said("doctor")
    words = ["cores to use", "available of", "GB free of", "float32 products", "bfloat16 products", "GFLOP/s", "GPU"]
    for word in [
        *words,
        "float16 products",
        "number format",
        f"torch {version('torch')}",
        "not tested",
        "methods and objectives",
    ]:
        assert word in text, word


def test_doctor_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages of an extra, packages of Luthier itself, and the model."""
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(
        diagnosis,
        "requires",
        lambda _: ["torch>=2", "nothere>1", 'gone; extra == "trees"', 'old; python_version < "3"'],
    )

    def found(name: str) -> str:
        if name in ("nothere", "gone", "old"):
            raise PackageNotFoundError(name)
        return "9.9"

    monkeypatch.setattr(diagnosis, "version", found)
    assert diagnosis.packages() == [
        ("needed", "torch 9.9"), ("MISSING", "pip install nothere"),
        ("extra trees", "nothing of it"), ("missing for trees", "pip install gone"),
    ]  # fmt: skip
    assert ("SmolLM2-135M-Instruct", "not here: luthier fetch") in diagnosis.embedded()


def test_export_prints_the_parity(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    run = runs.finished(tiny_folder("llama_tied"), tmp_path / "run")
    text = said("export", run, "--to", "adapter")
    assert "logits" in text and "PEFT" in text and "differ by" in text and "DIFFERS" not in text
    assert f"Written: {run / 'export' / 'adapter'}" in text
    assert read_json(run / "export" / "adapter" / "adapter_config.json")["peft_type"] == "LORA"
    text = said("export", run, "--to", "gguf", "--type", "q8_0", "--out", tmp_path / "m.gguf")
    assert (tmp_path / "m.gguf").read_bytes()[:4] == b"GGUF" and "next tokens" in text
