"""Next-token cross-entropy on every token of plain text: continued training.

A long text is cut into stretches of `max_length` tokens, each beginning with the last token of the one before, so that
every token but the first is predicted once. A text ends with the tokenizer's end token. Where questions come with
documents (`Split.documents`), the documents are what is trained on, and a conversation that is evaluated counts whole:
its questions as well as its answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.batch import Batch
from luthier.core.example import Example
from luthier.core.phrases import say
from luthier.core.records import Chat, Record, Text
from luthier.core.split import Split
from luthier.data.pack import next_token
from luthier.objectives.streams.streamed import Streamed

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.models.outputs import Outputs
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

    def encode(self, lm: TrainableLM, data: Split, records: Sequence[Record]) -> list[Example]:
        return super().encode(lm, data, self.rows(data) if records is data.train else records)

    def rows(self, data: Split) -> Sequence[Record]:
        return data.documents if data.documents and data.train else super().rows(data)

    def examples(self, lm: TrainableLM, data: Split, row: int, record: Record) -> list[Example]:
        return self._stretches(lm, row, _tokens(lm, record))

    def room_of(self, lm: TrainableLM) -> int:
        return max(lm.limit - len(lm.virtual), 2)

    def stretch(self, lm: TrainableLM, row: int, ids: list[int], seed: tuple[int, ...] = ()) -> Example:
        head = list(lm.virtual)
        learned = [False] * (len(head) + 1) + [True] * (len(ids) - 1)
        return next_token(row, head + ids, learned, len(learned))

    def _stretches(self, lm: TrainableLM, row: int, ids: list[int]) -> list[Example]:
        room = self.room_of(lm)
        return [self.stretch(lm, row, ids[at : at + room]) for at in range(0, len(ids) - 1, room - 1)]

    def divisors(self, examples: Sequence[Any]) -> dict[str, float]:
        return {"nll": float(max(sum(len(e.where) for e in examples), 1))}

    def loss(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        from luthier.models.kernels.vocabulary_head import head_loss

        return {"nll": head_loss(out.hidden, out.lm.head, batch.targets)}


def _tokens(lm: TrainableLM, record: Record) -> list[int]:
    """A text between the tokens that the tokenizer puts around one, or a conversation as its template writes it."""
    if isinstance(record, Chat):
        from luthier.data.chat import encode_chat

        return encode_chat(lm.tokenizer, record.messages)[-1].ids
    text = record.text if isinstance(record, Text) else "\n".join(t for t in (str(record.asked), record.wanted) if t)
    ids = list(lm.tokenizer(text, verbose=False)["input_ids"])
    end = lm.tokenizer.eos_token_id
    return ids if end is None or ids[-1:] == [end] else [*ids, end]


METHOD = Lm
