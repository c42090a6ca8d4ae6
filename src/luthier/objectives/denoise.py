"""Span denoising: spans of a text give way to sentinels, and what stood there is written out.

An encoder-decoder reads the text with its gaps and writes the spans, each behind its sentinel; a causal model reads and
writes them in one sequence, with the loss on the spans alone. Another draw in each pass over a stream.
Source: Raffel et al. 2020 (T5); on decoders Wang et al. 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import inf
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Lt

from luthier.core.phrases import say
from luthier.objectives.streams.spans import spans
from luthier.objectives.streams.streamed import Streamed

if TYPE_CHECKING:
    from luthier.core.example import Example
    from luthier.models.base import TrainableLM
    from luthier.training.context import Context

extras = ()
MOST = 100  # sentinels


@dataclass(frozen=True)
class Denoise(Streamed):
    """max_length: of a stretch, in tokens. density: the share of tokens that is taken out. span: tokens of a span, in
    the mean."""

    max_length: int = 512
    density: Annotated[float, Gt(0), Lt(1)] = 0.15
    span: Annotated[float, Ge(1), Lt(inf)] = 3.0

    def refuses(self, ctx: Context) -> str | None:
        return ctx.policy.lacks("logprobs") or (None if sentinels(ctx.policy) else say("said_refused_sentinels"))

    def room_of(self, lm: TrainableLM) -> int:
        return max(int((lm.limit - len(lm.virtual) - 4) / (1 + 2 * self.density / self.span)), 2)

    def stretch(self, lm: TrainableLM, row: int, ids: list[int], seed: tuple[int, ...]) -> Example:
        known = sentinels(lm)
        drawn = spans(len(ids), self.density, self.span, len(known), np.random.default_rng(seed))
        read, wanted = gapped(ids, drawn, known)
        end = [lm.tokenizer.eos_token_id] if lm.tokenizer.eos_token_id is not None else []
        return lm.pair(row, [*lm.virtual, *read, *end], [*wanted, *end])


def sentinels(lm: TrainableLM) -> list[int]:
    """The ids of T5's sentinels, `<extra_id_0>` first, as far as the tokenizer has them."""
    words: Any = lm.tokenizer
    found = words.convert_tokens_to_ids([f"<extra_id_{at}>" for at in range(MOST)])
    return list(takewhile(lambda id: id not in (None, words.unk_token_id), found))


def gapped(
    ids: Sequence[int], drawn: Sequence[tuple[int, int]], sentinels: Sequence[int]
) -> tuple[list[int], list[int]]:
    """The tokens with a sentinel in place of each span, and the spans, each behind its sentinel."""
    read, wanted, at = list[int](), list[int](), 0
    for (start, end), sentinel in zip(drawn, sentinels, strict=False):
        read += [*ids[at:start], sentinel]
        wanted += [sentinel, *ids[start:end]]
        at = end
    return [*read, *ids[at:]], wanted


METHOD = Denoise
