"""What adapting costs elsewhere: the rise of the loss on a page of general text, English and Chinese."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from luthier.data.embedded import general_text
from luthier.models.head import token_logprobs

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM

WINDOW = 512  # tokens of one stretch


@torch.no_grad()
def general_loss(lm: CausalLM) -> float:
    """Mean next-token loss in nats on the general page, behind whatever virtual tokens the model carries."""
    ids = lm.tokenizer(general_text())["input_ids"]
    total, count = 0.0, 0
    for at in range(0, len(ids) - 1, WINDOW):
        part = ids[at : at + WINDOW]
        if len(part) < 2:
            continue
        whole = torch.tensor([*lm.virtual, *part], device=lm.device)
        hidden = lm.hidden(whole, torch.arange(len(whole), device=lm.device), [len(whole)])
        hidden = hidden[len(lm.virtual) :][:-1]
        index = torch.arange(len(hidden), device=lm.device)
        total -= float(token_logprobs(hidden, lm.head, index, whole[len(lm.virtual) + 1 :]).sum())
        count += len(hidden)
    return total / max(count, 1)
