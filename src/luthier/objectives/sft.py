"""Next-token cross-entropy on the answer's tokens only.

A conversation is rendered by the tokenizer's chat template and every assistant turn is learned, with the token that
ends it. A labelled text is rendered by the wording and the words of its label are learned: classification by the
likelihood of the label's words. An encoder-decoder reads what stands before an answer and learns the answer, its end
token included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.data.pack import Example
from luthier.protocols import Batch, Chat, Objective, Outputs, Record, Split

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import BaseLM

extras = ()


@dataclass(frozen=True)
class Sft(Objective):
    """max_length: in tokens; a longer text before a label loses its middle, a longer conversation its end."""

    max_length: int = 1024

    record: ClassVar[type] = Chat

    def encode(self, lm: BaseLM, data: Split, records: Sequence[Record]) -> list[Example]:
        out: list[Example] = []
        for row, record in enumerate(records):
            if isinstance(record, Chat):
                out += lm.chat_examples(row, record.messages, self.max_length)
            else:
                prompt = lm.encode_prompt(record.asked, data.labels)
                out.append(lm.example(row, prompt, lm.encode_answer(record.wanted, data.labels), self.max_length))
        return [e for e in out if e.where]

    def weights(self, examples: Sequence[Any]) -> dict[str, float]:
        return {"nll": float(max(sum(len(e.where) for e in examples), 1))}

    def loss(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        from luthier.models.head import head_loss

        return {"nll": head_loss(out.hidden, out.lm.head, batch.targets)}


def renumbered(examples: Sequence[Example]) -> list[Example]:
    """Examples with ids of their own: a conversation may have given several, or none."""
    return [replace(e, row=i, record=e.source) for i, e in enumerate(examples)]


METHOD = Sft
