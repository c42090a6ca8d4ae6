"""An objective of plain text: from a stream of tokens where there is one, else from rows.

    Split.stream --Stretches--> examples of a step, in the order of the stream, as long together as `batch` full rows
    rows of text, documents --stretches--> examples

A stream is read from its beginning to its end, and again; no example spans two documents. Where questions come with
documents (`Split.documents`), the documents are what is trained on, and a conversation that is evaluated counts whole:
its questions as well as its answers.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.errors import LuthierError
from luthier.core.methods import Objective
from luthier.core.records import Chat, Record, Text
from luthier.data.stream import Stretches
from luthier.data.token_files import vocabulary_key

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.core.batch import Batch
    from luthier.core.cursor import Cursor
    from luthier.core.example import Example
    from luthier.core.split import Split
    from luthier.models.base import TrainableLM
    from luthier.models.outputs import Outputs
    from luthier.training.context import Context


@dataclass(frozen=True)
class Streamed(Objective, ABC):
    """Cross-entropy of tokens at some places of stretches of text.

    shared: tokens that a stretch of a long document takes over from the one before.
    """

    record: ClassVar[type] = Text
    shared: ClassVar[int] = 0

    @abstractmethod
    def stretch(self, lm: TrainableLM, row: int, ids: list[int], seed: tuple[int, ...]) -> Example:
        """The example of a stretch of a document. seed: of what is drawn for it, another in each pass."""

    def room_of(self, lm: TrainableLM) -> int:
        """Tokens of a stretch, at most."""
        return max(lm.limit - len(lm.virtual), 2)

    def encode(self, lm: TrainableLM, data: Split, records: Sequence[Record]) -> list[Example]:
        return super().encode(lm, data, self.rows(data) if records is data.train else records)

    def rows(self, data: Split) -> Sequence[Record]:
        if data.stream is not None:
            return ()
        return data.documents if data.documents and data.train else super().rows(data)

    def examples(self, lm: TrainableLM, data: Split, row: int, record: Record) -> list[Example]:
        ids, room = tokens_of(lm, record), self.room_of(lm)
        places = range(0, len(ids) - self.shared, room - self.shared)
        return [self.stretch(lm, row, ids[at : at + room], (row, at)) for at in places]

    def dataset(self, ctx: Context, data: Split) -> Sequence[Example]:
        if data.stream is None:
            return super().dataset(ctx, data)
        lm, seed = ctx.policy, ctx.seed
        size = int(lm.reader.get_input_embeddings().weight.shape[0])
        if data.stream.vocabulary > size:
            raise LuthierError(
                f"{data.stream.folder}: ids up to {data.stream.vocabulary - 1:,}, and the model knows {size:,}: it was "
                "made with another tokenizer"
            )
        told = data.stream.tokens.about.get("vocabulary_key")
        if told and told != vocabulary_key(lm.tokenizer.get_vocab()):
            raise LuthierError(f"{data.stream.folder}: it was made with another tokenizer than the model's")

        found: Stretches | None = None

        def make(row: int, ids: list[int]) -> Example:
            return self.stretch(lm, row, ids, (seed, found.epoch if found else 0, row))

        found = Stretches(data.stream, self.room_of(lm), self.shared, make)
        return found

    def batches(self, ctx: Context, dataset: Sequence[Example], size: int, cursor: Cursor) -> Iterator[list[Example]]:
        while isinstance(dataset, Stretches):
            yield dataset.step(cursor, size)
        yield from super().batches(ctx, dataset, size, cursor)

    def lost(self, lm: TrainableLM, loss: float, lowest: float, norm: float) -> bool:
        """Twice the loss of an even guess and twice the lowest so far, or no gradient: activations have overflowed."""
        return norm == 0 or loss > 2 * max(lowest, math.log(lm.reader.get_input_embeddings().weight.shape[0]))

    def epoch(self, examples: Sequence[Any]) -> int:
        return int(examples.sums[-1]) if isinstance(examples, Stretches) else super().epoch(examples)

    def kept(self, examples: Sequence[Any]) -> Sequence[Any]:
        return () if isinstance(examples, Stretches) else examples

    def divisors(self, examples: Sequence[Any]) -> dict[str, float]:
        return {"nll": float(max(sum(len(e.where) for e in examples), 1))}

    def loss(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        return {"nll": out.nll()}


def tokens_of(lm: TrainableLM, record: Record) -> list[int]:
    """A text between the tokens that the tokenizer puts around one, or a conversation as its template writes it."""
    if isinstance(record, Chat):
        from luthier.data.chat import encode_chat

        return encode_chat(lm.tokenizer, record.messages)[-1].ids
    text = record.text if isinstance(record, Text) else "\n".join(t for t in (str(record.asked), record.wanted) if t)
    ids = list(lm.tokenizer(text, verbose=False)["input_ids"])
    end = lm.tokenizer.eos_token_id
    return ids if end is None or ids[-1:] == [end] else [*ids, end]
