"""Next-token cross-entropy on the answer's tokens only.

A conversation is rendered by the tokenizer's chat template and every assistant turn is learned, with the token that
ends it. A labelled text is rendered by the wording and the words of its label are learned: classification by the
likelihood of the label's words. An encoder-decoder reads what stands before an answer and learns the answer, its end
token included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from luthier.core.batch import Batch
from luthier.core.example import Example
from luthier.core.methods import Objective
from luthier.core.records import Chat, Compared, Judged, Message, Record, Task
from luthier.core.split import Split
from luthier.data.pack import WEIGHT, weighed

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.models.outputs import Outputs

extras = ()
PART = 4  # of max_length that answers may take from the prompts of all rows; a longer one takes from its own


@dataclass(frozen=True)
class Sft(Objective):
    """max_length: in tokens; what is longer is shortened, its answers are kept (`luthier.data.shorten`).

    answers: of rows that judge or compare answers the best ones are learned, or all: a policy that has seen both kinds
    has something to gain from a reward.
    """

    max_length: int = 1024
    answers: Literal["best", "all"] = "best"

    record: ClassVar[type] = Chat
    tasks: ClassVar[tuple[Task, ...]] = ("classification", "generation", "text", "preference")

    def room(self, lm: TrainableLM, data: Split) -> int:
        """Of the longest label, or the longest answer of the training rows; a part of max_length at most."""
        answers = data.labels or tuple({r.wanted for r in data.train})
        longest = max((lm.answer_room(lm.encode_answer(a, data.labels), data.labels) for a in answers), default=0)
        return min(longest, lm.limit // PART)

    def examples(self, lm: TrainableLM, data: Split, row: int, record: Record) -> list[Example]:
        if isinstance(record, Judged) and not record.good and self.answers == "best":
            return []
        if isinstance(record, Compared) and self.answers == "all":
            said = [Message("assistant", text) for text in record.answers]
            return [e for reply in said for e in self.examples(lm, data, row, Chat((*record.messages, reply)))]
        if isinstance(record, Compared | Judged):
            reply = record.reply if isinstance(record, Judged) else Message("assistant", record.wanted)
            record = Chat((*record.messages, reply))
        if isinstance(record, Chat):
            learned = any(m.role == "assistant" and m.learned for m in record.messages[1:])
            return lm.chat_examples(row, record.messages) if learned else []
        return [weighed(lm.example(row, record.asked, record.wanted, data.labels), data, record)]

    def divisors(self, examples: Sequence[Any]) -> dict[str, float]:
        return {"nll": max(sum(sum(e.columns.get(WEIGHT, [1.0] * len(e.where))) for e in examples), 1e-9)}

    def loss(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        return {"nll": out.nll(batch.columns.get(WEIGHT))}


METHOD = Sft
