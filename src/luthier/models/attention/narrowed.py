"""A model behind a window of attention: which models can be, and how a folder remembers it.

A folder's `config.json` says it under KEPT, which transformers keeps and does not use: there a token sees all that
stands before it. Only where every layer of a model takes its window from `sliding_window` (Mistral's do) and there are
no sinks does transformers do the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from luthier.core.errors import Refused
from luthier.core.phrases import say
from luthier.core.window import Window, window_of

if TYPE_CHECKING:
    from luthier.core.lm import WordedLM
    from luthier.models.base import TrainableLM
    from luthier.models.causal import CausalLM

KEPT = "luthier_attention"
AWAY = 37  # places by which a text is moved to see whether its positions count from where it begins


def narrowed(lm: WordedLM, spelled: str) -> WordedLM:
    """The model with that attention; "" is what its folder names. Raises Refused where it cannot have it."""
    from luthier.models.causal import CausalLM

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


def kept(config: Any) -> str:
    """What a model's configuration says of its attention."""
    return str(getattr(config, KEPT, ""))


@contextmanager
def kept_in(lm: Any) -> Iterator[None]:
    """The model's configuration says how it attends, for the length of a `with` block in which it is written."""
    config, window = lm.model.config, getattr(lm, "window", None)
    before = dict(vars(config))
    vars(config).pop(KEPT, None)
    if window is not None:
        setattr(config, KEPT, str(window))
        if transformers_has(config, window):
            config.sliding_window = window.size
    try:
        yield
    finally:
        vars(config).clear()
        vars(config).update(before)


def as_others_run(lm: TrainableLM, whole: bool) -> TrainableLM:
    """The model as programs that know no such window run it: all in sight, unless a whole folder tells transformers."""
    from luthier.models.causal import CausalLM

    if not isinstance(lm, CausalLM) or lm.window is None or (whole and transformers_has(lm.model.config, lm.window)):
        return lm
    return replace(lm, window=None)


def transformers_has(config: Any, window: Window) -> bool:
    """Whether transformers' own attention does the same by the configuration's `sliding_window`."""
    if window.sinks or not hasattr(config, "sliding_window") or getattr(config, "layer_types", None):
        return False
    return config.sliding_window is None or config.sliding_window >= window.size
