"""Finished runs on tiny models for the tests of export and of the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

import tiny
from luthier.core.split import Split
from luthier.export.parity import Check
from luthier.export.write import export_run
from luthier.io import config
from luthier.io.files import write_json, write_text
from luthier.models.causal import CausalLM
from luthier.runs import run
from luthier.runs.loaded import load_run

TEXTS = ("where is my parcel, please?", "退款还没有到")


def finished(model: Path, folder: Path, method: str = "lora", data: Split = tiny.CHATS, **changes: Any) -> Path:
    """A run folder as `luthier train` leaves it, trained hard enough to differ from its base."""
    recipe = tiny.recipe(model, method, **{"training": {"learning_rate": 0.02, "epochs": 4}, **changes})
    with run.adapted(tiny.fresh(model), recipe, data, cache=folder / "cache") as outcome:
        run.save_adapted(outcome, folder)
    write_text(folder / "recipe.yaml", config.to_yaml(recipe))
    write_json(folder / "eval.json", {"metric": "chrF", "score": 1.0, "per_row": [1.0], "answers": ["a"]})
    return folder


def ids(lm: CausalLM) -> list[list[int]]:
    """Some tokens without virtual ones."""
    return [lm.tokenizer(text)["input_ids"] for text in TEXTS]


def of_run(folder: Path, model: Path) -> list[Tensor]:
    """Logits (tokens, V) of the adapted model by Luthier itself."""
    lm: Any = load_run(folder, tiny.fresh(model))
    out = []
    for row in ids(lm):
        whole = torch.tensor([*lm.virtual, *row])
        with torch.no_grad():
            hidden = lm.hidden(whole, torch.arange(len(whole)), [len(whole)])
        out.append(lm.head.logits(hidden)[len(lm.virtual) :])
    return out


def of_plain(model: Any, rows: list[list[int]]) -> list[Tensor]:
    """Logits (tokens, V) of any model that transformers runs."""
    with torch.no_grad():
        return [model(input_ids=torch.tensor([row])).logits[0, -len(row) :] for row in rows]


def another(kind: str, folder: Path) -> Path:
    """A tiny Qwen2 without a sliding window, or Qwen3, with biases and norms of its own; a head's size after a dash."""
    tiny.save_model("llama_tied", folder)
    kind, _, head = kind.partition("-")
    made = {"llama": LlamaConfig, "qwen2": Qwen2Config, "qwen3": Qwen3Config}[kind]
    sizes = {**tiny._SIZES, "num_hidden_layers": 2, "vocab_size": tiny_size(folder)}
    if head or kind == "qwen3":
        sizes["head_dim"] = int(head or 128)  # wider than hidden_size / heads, as in all Qwen3 models
    model: Any = AutoModelForCausalLM.from_config(made(**sizes, tie_word_embeddings=kind == "qwen2", eos_token_id=2))
    tiny.scramble(model, 5)
    model.save_pretrained(folder)
    return folder


def tiny_size(folder: Path) -> int:
    """Tokens of the tokenizer in that folder."""
    from transformers import AutoTokenizer

    return len(AutoTokenizer.from_pretrained(folder))


def export(run: Path, to: Any, out: Path, kind: str = "f16") -> list[Check]:
    """Export, and the parity table that was shown."""
    shown: list[Check] = []
    export_run(run, to, out, kind, lambda _: None, shown.extend)
    return shown


def left_behind(folder: Path) -> list[str]:
    """What an export should not leave."""
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("."))
