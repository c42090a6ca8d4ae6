"""Masked tokens of a text told from those around them, by an encoder's own vocabulary head.

Of the tokens that are chosen 80 % are replaced by the mask, 10 % by any token and 10 % stay as they are. Another draw
in each pass over a stream. Source: Devlin et al. 2019 (BERT); drawn anew each time as in Liu et al. 2019 (RoBERTa).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Gt, Le

from luthier.core.example import Example
from luthier.core.phrases import say
from luthier.objectives.streams.streamed import Streamed

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM
    from luthier.training.context import Context

extras = ()
MASKED, RANDOM = 0.8, 0.1  # of the chosen ones


@dataclass(frozen=True)
class Mlm(Streamed):
    """max_length: of a stretch, in tokens. share: of the tokens, chosen to be told."""

    max_length: int = 512
    share: Annotated[float, Gt(0), Le(1)] = 0.15

    heads: ClassVar[tuple[str, ...]] = ("mask",)

    def refuses(self, ctx: Context) -> str | None:
        return (
            None
            if ctx.policy.own_head("mask") is not None and _mask(ctx.policy) is not None
            else say("said_refused_masked")
        )

    def stretch(self, lm: TrainableLM, row: int, ids: list[int], seed: tuple[int, ...]) -> Example:
        random, special = np.random.default_rng(seed), set(lm.tokenizer.all_special_ids)
        free = [at for at, id in enumerate(ids) if id not in special]
        chosen = sorted(random.permutation(free)[: max(round(len(free) * self.share), 1)].tolist())
        read, size, mask = list(ids), len(lm.tokenizer), _mask(lm)
        for at, drawn in zip(chosen, random.random(len(chosen)), strict=True):
            if mask is not None and drawn < MASKED:
                read[at] = mask
            elif drawn < MASKED + RANDOM:
                read[at] = int(random.integers(size))
        ahead = len(lm.virtual)
        where = tuple(ahead + at for at in chosen)
        return Example(row, (*lm.virtual, *read), where, tuple(ids[at] for at in chosen))


def _mask(lm: TrainableLM) -> int | None:
    found = lm.tokenizer.mask_token_id
    return int(found) if isinstance(found, int) else None


METHOD = Mlm
