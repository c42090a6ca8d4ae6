"""Next-token cross-entropy on every token of plain text: continued training.

A long text is cut into stretches of `max_length` tokens, each beginning with the last token of the one before, so that
every token but the first is predicted once. A text ends with the tokenizer's end token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from luthier.core.phrases import say
from luthier.data.pack import next_token
from luthier.objectives.streams.streamed import Streamed

if TYPE_CHECKING:
    from luthier.core.example import Example
    from luthier.models.base import TrainableLM
    from luthier.training.context import Context

extras = ()


@dataclass(frozen=True)
class Lm(Streamed):
    """max_length: of a stretch, in tokens, virtual ones included."""

    max_length: int = 1024

    shared: ClassVar[int] = 1

    def refuses(self, ctx: Context) -> str | None:
        from luthier.models.causal import CausalLM

        if isinstance(ctx.policy, CausalLM):
            return None
        return ctx.policy.lacks("logprobs") or say("said_refused_causal")

    def stretch(self, lm: TrainableLM, row: int, ids: list[int], seed: tuple[int, ...] = ()) -> Example:
        head = list(lm.virtual)
        learned = [False] * (len(head) + 1) + [True] * (len(ids) - 1)
        return next_token(row, head + ids, learned, len(learned))


METHOD = Lm
