"""How long a prompt with its answer may be where no training says it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from luthier.core.errors import LuthierError
from luthier.core.lm import WordedLM
from luthier.models.base import TrainableLM

L = TypeVar("L", bound=WordedLM)


def within(lm: L, max_length: Any) -> L:
    """The base, which reads no more than so many tokens of a prompt with its answer. None: what it has room for.

    Training has it by its objective (`max_length`); what is not trained reads alike by this. A model behind an address
    has a limit of its own.
    """
    if max_length is None or not isinstance(lm, TrainableLM):
        return lm
    if not isinstance(max_length, int) or max_length < 2:
        raise LuthierError(f"objective.max_length: a number of tokens of at least 2, not {max_length!r}")
    return replace(lm, longest=min(max_length, lm.context))
