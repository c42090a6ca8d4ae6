"""An objective that learns from a stream of tokens where there is one, else from rows.

    Split.stream --Stretches--> examples of a step, in the order of the stream, as long together as `batch` full rows

A stream is read from its beginning to its end, and again; a step never mixes two documents in one example.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.errors import LuthierError
from luthier.core.methods import Objective
from luthier.core.records import Record, Text
from luthier.data.stream import Stretches
from luthier.data.token_files import vocabulary_key

if TYPE_CHECKING:
    from luthier.core.cursor import Cursor
    from luthier.core.example import Example
    from luthier.core.split import Split
    from luthier.models.base import TrainableLM
    from luthier.training.context import Context


@dataclass(frozen=True)
class Streamed(Objective, ABC):
    """shared: tokens that a stretch of a long document takes over from the one before."""

    record: ClassVar[type] = Text
    shared: ClassVar[int] = 0

    @abstractmethod
    def stretch(self, lm: TrainableLM, row: int, ids: list[int], seed: tuple[int, ...] = ()) -> Example:
        """The example of a stretch of a document. seed: of what is drawn for it, another in each pass."""

    def room_of(self, lm: TrainableLM) -> int:
        """Tokens of a stretch, at most."""
        return lm.limit

    def rows(self, data: Split) -> Sequence[Record]:
        return () if data.stream is not None else super().rows(data)

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

        def make(row: int, ids: list[int]) -> Example:
            return self.stretch(lm, row, ids, (seed, found.epoch))

        found = Stretches(data.stream, self.room_of(lm), self.shared, make, len(lm.virtual))
        return found

    def batches(self, ctx: Context, dataset: Sequence[Example], size: int, cursor: Cursor) -> Iterator[list[Example]]:
        while isinstance(dataset, Stretches):
            yield dataset.step(cursor, size)
        yield from super().batches(ctx, dataset, size, cursor)

    def epoch(self, examples: Sequence[Any]) -> int:
        return int(examples.sums[-1]) if isinstance(examples, Stretches) else super().epoch(examples)

    def kept(self, examples: Sequence[Any]) -> Sequence[Any]:
        return () if isinstance(examples, Stretches) else examples
