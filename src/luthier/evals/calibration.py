"""Contextual calibration: labels that a prompt favours whatever is asked are put back by how much it does.

The same prompt is given inputs that say nothing; their mean label distribution p_cf is what wording and examples alone
make the model say. Probabilities are divided by it (W = diag(p_cf)^-1, b = 0) and normalised. Source: Zhao et al. 2021,
"Calibrate Before Use".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from luthier.core.lm import LM

if TYPE_CHECKING:
    from torch import Tensor

CONTENT_FREE = ("N/A", "", "[MASK]")


def content_free(lm: LM, labels: Sequence[str]) -> Tensor | None:
    """log p_cf (K,): of the mean over inputs that say nothing; None where the model gives no probabilities."""
    found = lm.predict(list(CONTENT_FREE), labels).double()
    if not bool(found.isfinite().all()):
        return None
    return found.exp().mean(0).log()


def calibrated(logprobs: Tensor, favoured: Tensor) -> Tensor:
    """(N, K) log-probabilities divided by p_cf = exp(favoured), normalised over the labels."""
    import torch

    return torch.log_softmax(logprobs.double() - favoured, -1).float()
