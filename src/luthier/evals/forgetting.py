"""What adapting costs elsewhere: the rise of the loss on a page of general text, English and Chinese."""

from __future__ import annotations

from typing import TYPE_CHECKING

from luthier.data.embedded import general_text

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM

WINDOW = 512  # tokens of one stretch


def general_loss(lm: TrainableLM) -> float | None:
    """Mean loss in nats a token on the general page, behind whatever virtual tokens the model carries.

    A causal model is given what stands before each token in its stretch; an encoder-decoder reads the first half of a
    stretch and writes the second; None for an encoder, which predicts no text.
    """
    if lm.lacks("logprobs"):
        return None
    ids = lm.tokenizer(general_text())["input_ids"]
    window = min(WINDOW, lm.context - len(lm.virtual))
    parts = [list(ids[at : at + window]) for at in range(0, len(ids) - 1, window)]
    found = [lm.stretch_logprobs(part) for part in parts if len(part) > 1]
    return -sum(float(t.sum()) for t in found) / max(sum(len(t) for t in found), 1)
