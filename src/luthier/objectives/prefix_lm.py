"""Next-token cross-entropy on the second part of a text, behind a first part that is only read.

Where the second begins is drawn at random, again in each pass over a stream. It is what an encoder-decoder, or a
decoder that sees its prompt in both directions, learns from plain text; causal ones learn twice as much of it by `lm`.
Source: Liu et al. 2018; "prefix language modelling" in Raffel et al. 2020 and Wang et al. 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from luthier.objectives.streams.streamed import Streamed

if TYPE_CHECKING:
    from luthier.core.example import Example
    from luthier.models.base import TrainableLM

extras = ()


@dataclass(frozen=True)
class PrefixLm(Streamed):
    """max_length: of a stretch, in tokens, virtual ones included."""

    max_length: int = 1024

    shared: ClassVar[int] = 1

    def stretch(self, lm: TrainableLM, row: int, ids: list[int], seed: tuple[int, ...]) -> Example:
        at = int(np.random.default_rng(seed).integers(1, len(ids)))
        return lm.pair(row, [*lm.virtual, *ids[:at]], ids[at:])


METHOD = PrefixLm
