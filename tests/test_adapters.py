"""Adapters of the LoRA family, with `peft` as the oracle both ways; folders that are no adapter of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch

import peft_oracle as oracle
import tiny
from luthier import adapters
from luthier.models.base import BaseLM
from luthier.patches.lora import Lora

every_kind = pytest.mark.parametrize("lm", tiny.KINDS, indirect=True)
TARGETS = {
    "llama_tied": ["q_proj", "down_proj"], "llama_untied": ["q_proj", "down_proj"], "gpt2": ["c_attn", "mlp.c_proj"],
    "qwen2_sliding": ["q_proj", "o_proj"], "bert": ["query", "output.dense"], "t5": ["q", "o", "wi"],
}  # fmt: skip
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout": {"lora_dropout": 0.3},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True, "lora_dropout": 0.1},
    "one_layer": {"layers_to_transform": [1]},
}


def kind_of(lm: BaseLM) -> str:
    return next(k for k in tiny.KINDS if Path(lm.name).name.startswith(k))


@every_kind
@pytest.mark.parametrize("form", FORMS)
def test_lora_that_peft_wrote(lm: BaseLM, form: str, tmp_path: Path) -> None:
    """Seen failing with alpha / r for rsLoRA, and with the magnitudes left as they begin."""
    config = peft.LoraConfig(
        r=3, lora_alpha=7, target_modules=TARGETS[kind_of(lm)], task_type=lm.peft_task, **FORMS[form]
    )
    want = oracle.write_with_peft(Path(lm.name), tmp_path, config)
    base, tree = oracle.ours(lm), tiny.tree(lm.model)
    work, patch = adapters.load_adapter(lm, tmp_path)
    assert isinstance(patch, Lora) and patch.dropout == config.lora_dropout
    assert (want - base).abs().max() > 1e-2
    torch.testing.assert_close(oracle.ours(work), want, rtol=0, atol=1e-4)
    patch.detach(work)
    assert tiny.tree(lm.model) == tree and torch.equal(oracle.ours(lm), base)
