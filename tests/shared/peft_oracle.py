"""What `peft` makes of an adapter on the plain transformers model, and what we make of it, for every kind of model."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import peft
import torch
from torch import Tensor

import tiny
from luthier.core.example import Example
from luthier.data.pack import pack
from luthier.models.base import TrainableLM

IDS = tuple(torch.randint(3, 300, (23,), generator=torch.Generator().manual_seed(1)).tolist())


def reference(folder: Path) -> Any:
    """The same weights as transformers runs them by itself, of any kind."""
    kind = next(k for k in tiny.KINDS if folder.name.startswith(k))
    return tiny.auto_class(kind).from_pretrained(folder, attn_implementation="sdpa").eval()


@torch.no_grad()
def theirs(model: Any) -> Tensor:
    """Logits (T, V) of the fixed tokens; last states (T, d) of an encoder. Of a peft model or a plain one."""
    row = torch.tensor([IDS])
    if model.config.is_encoder_decoder:
        return model(input_ids=row, decoder_input_ids=torch.tensor([[0, *IDS[:6]]])).logits[0]  # type: ignore[no-any-return]
    out = model(input_ids=row)
    return out.logits[0][-len(IDS) :] if hasattr(out, "logits") else out.last_hidden_state[0][-len(IDS) :]  # type: ignore[no-any-return]


@torch.no_grad()
def ours(lm: TrainableLM) -> Tensor:
    """The same by us; the virtual tokens of a prompt go first and are left out."""
    ids = (*lm.virtual, *IDS)
    if lm.model.config.is_encoder_decoder:
        batch = pack([Example(0, ids, tuple(range(7)), (0,) * 7, decoder=(0, *IDS[:6]))], {})
        return lm.head.logits(lm.read(batch))
    hidden = lm.hidden(torch.tensor(ids), torch.arange(len(ids)), [len(ids)])[len(lm.virtual) :]
    return lm.head.logits(hidden) if lm.peft_task == "CAUSAL_LM" else hidden


def with_peft(folder: Path, adapter: Path) -> Any:
    """The model of `folder` with an adapter as `peft` loads it. A tensor that finds no place, or has none, fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("error", message=".*(missing|unexpected).*keys.*")
        return peft.PeftModel.from_pretrained(reference(folder), adapter).eval()


@torch.no_grad()
def scramble(model: Any) -> None:
    """Random values in what trains of a peft model."""
    random = torch.Generator().manual_seed(3)
    for p in model.parameters():
        if p.requires_grad:
            p.add_(0.2 * torch.randn(p.shape, generator=random))


def write_with_peft(folder: Path, adapter: Path, config: peft.PeftConfig) -> Tensor:
    """Save an adapter of random tensors as `peft` does; gives what the adapted model says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.get_peft_model(reference(folder), config).eval()
    scramble(model)
    model.save_pretrained(str(adapter))
    return theirs(model)
