"""How a model's folder remembers its window of attention.

Its `config.json` says it under KEPT, which transformers keeps and does not use: there a token sees all that stands
before it. Only where every layer of a model takes its window from `sliding_window` (Mistral's do) and there are no
sinks does transformers do the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from luthier.core.window import Window

KEPT = "luthier_attention"


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


def transformers_has(config: Any, window: Window) -> bool:
    """Whether transformers' own attention does the same by the configuration's `sliding_window`."""
    if window.sinks or not hasattr(config, "sliding_window") or getattr(config, "layer_types", None):
        return False
    return config.sliding_window is None or config.sliding_window >= window.size
