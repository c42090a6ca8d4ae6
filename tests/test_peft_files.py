"""Adapters that we save are loaded by peft on the plain transformers model and give the same logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from torch import Tensor

import tiny
from luthier import run
from luthier.models.causal import CausalLM
from luthier.protocols import Split

every_model = pytest.mark.parametrize("lm", tiny.MODELS, indirect=True)
IDS = torch.randint(300, (23,), generator=torch.Generator().manual_seed(1)).tolist()


def ours_and_theirs(lm: CausalLM, folder: Path, data: Split, method: str, **changes: Any) -> tuple[Tensor, Tensor, Any]:
    """Logits (T, V) of a trained adapter by us, and by peft from what we saved; and peft's model."""
    training = {"learning_rate": 0.02, "epochs": 5}
    recipe = tiny.recipe(Path(lm.name), method, training=training, **changes)
    with run.adapted(lm, recipe, data) as outcome, torch.no_grad():
        run.save_adapted(outcome, folder)
        work: Any = outcome.lm
        ids = torch.tensor([*work.virtual, *IDS])
        ours = (work.hidden(ids, torch.arange(len(ids)), [len(ids)]) @ work.head.T)[len(work.virtual) :]
    oracle = tiny.reference(Path(lm.name))
    with torch.no_grad():
        base = oracle(torch.tensor([IDS])).logits[0]
        theirs = peft.PeftModel.from_pretrained(oracle, folder / "adapter").eval()
        logits = theirs(input_ids=torch.tensor([IDS])).logits[0]
    assert (ours - base).abs().max() > 0.1  # it learned something
    return ours, logits[-len(IDS) :], theirs


@every_model
@pytest.mark.parametrize("patch", [{}, {"rank": 3, "alpha": 7.5, "targets": "q_proj|down_proj|c_attn"}], ids=str)
def test_lora(lm: CausalLM, patch: dict[str, Any], tmp_path: Path) -> None:
    """Seen failing with alpha saved unscaled, with the rows of A alone in reverse, and with targets left out."""
    ours, theirs, model = ours_and_theirs(lm, tmp_path, tiny.CHATS, "lora", patch=patch)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    config = model.peft_config["default"]
    assert config.inference_mode and config.base_model_name_or_path == lm.name


@every_model
def test_soft_prompt(lm: CausalLM, tmp_path: Path) -> None:
    """Seen failing with the virtual tokens saved in reverse order."""
    ours, theirs, model = ours_and_theirs(lm, tmp_path, tiny.LABELLED, "soft_prompt", patch={"n": 7})
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    assert model.peft_config["default"].num_virtual_tokens == 7


def test_lora_under_a_label_head(lm: CausalLM, tmp_path: Path) -> None:
    """The head beside it is ours alone; peft still finds all of its own. Seen failing with targets left out."""
    ours, theirs, _ = ours_and_theirs(lm, tmp_path, tiny.LABELLED, "lora", objective={"name": "classify"})
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
