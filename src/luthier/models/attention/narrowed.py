"""A model behind a window of attention, and which models can be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from luthier.core.errors import Refused
from luthier.core.phrases import say
from luthier.core.window import Window, window_of
from luthier.models.attention.kept import kept, transformers_has
from luthier.models.causal import CausalLM

if TYPE_CHECKING:
    from luthier.core.lm import WordedLM
    from luthier.models.base import TrainableLM

AWAY = 37  # places by which a text is moved to see whether its positions count from where it begins


def narrowed(lm: WordedLM, spelled: str) -> WordedLM:
    """The model with that attention; "" is what its folder names. Raises Refused where it cannot have it."""
    if not isinstance(lm, CausalLM):
        if window := window_of(spelled, "attention"):
            raise Refused(say("said_refused_window_kind", window=str(window)))
        return lm
    window = window_of(spelled or kept(lm.model.config), "attention")
    if window == lm.window:
        return lm
    if window is not None and (reason := unsuited(lm, window)):
        raise Refused(reason)
    return replace(lm, window=window, key=lm.key and f"{lm.key}-{window or spelled}", trunks={})


def unsuited(lm: CausalLM, window: Window) -> str | None:
    """The fact why the model's attention cannot be narrowed to a window, or None."""
    kind = type(lm.model).__name__
    if not lm.separable:
        return say("said_refused_window_own", kind=kind, way=lm.runner.way, window=str(window))
    return None if _relative(lm) else say("said_refused_window_positions", kind=kind, window=str(window))


@torch.no_grad()
def _relative(lm: CausalLM) -> bool:
    """Whether a text gives the same wherever its positions begin: they are turned into keys and queries (RoPE)."""
    from luthier.models.loading.plain import close, tokens

    ids = tokens(lm)[0]
    places = torch.arange(len(ids), device=lm.device)
    near, far = (lm.hidden(ids, places + away, [len(ids)]) for away in (0, AWAY))
    return close(far, near, lm.head.weight.dtype)


def as_others_run(lm: TrainableLM, whole: bool) -> TrainableLM:
    """The model as programs that know no such window run it: all in sight, unless a whole folder tells transformers."""
    if not isinstance(lm, CausalLM) or lm.window is None or (whole and transformers_has(lm.model.config, lm.window)):
        return lm
    return replace(lm, window=None)
