"""How likely a model finds plain text: the geometric mean of the probabilities of its tokens, text by text.

exp(-loss) a row, where the loss is in nats a token; perplexity is its inverse. Loss and bits per byte stand beside it,
over the tokens that are told and their bytes: not the first, which nothing stands before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from luthier.core.errors import LuthierError
from luthier.core.lm import LM
from luthier.core.metric import Metric, Scores
from luthier.core.records import Record
from luthier.core.split import Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from luthier.models.base import TrainableLM

BLOCK = 4096  # bytes, about, of what is drawn anew as one where an interval is made


def stretches(ids: Sequence[int], room: int) -> Iterator[tuple[Sequence[int], int]]:
    """A text as the model can read it: stretches of `room` tokens, each with how many of them are new.

    From the second on half of a stretch has been read before: every token is told after half a context at least.
    """
    step = max(room // 2, 1)
    for start in range(0, max(len(ids) - (room - step), 1), step):
        part = ids[start : start + room]
        if len(part) > 1:
            yield part, len(part) - (room - step if start else 1)


def blocks(tokenizer: PreTrainedTokenizerBase, ids: list[int], values: Sequence[float]) -> list[tuple[float, int]]:
    """A text in stretches of about `BLOCK` bytes: nats and bytes of each. values: log-probabilities of the tokens.

    A character that two stretches share counts a few bytes more or less.
    """
    size = len(str(tokenizer.decode(ids, skip_special_tokens=True)).encode())
    count = max(round(size / BLOCK), 1)
    cuts = [round(len(ids) * at / count) for at in range(count + 1)]
    parts = tokenizer.batch_decode([ids[low:high] for low, high in pairwise(cuts)], skip_special_tokens=True)
    nats = [-math.fsum(values[low:high]) for low, high in pairwise(cuts)]
    return [(told, len(part.encode())) for told, part in zip(nats, parts, strict=True) if part]


class TokenProbability(Metric):
    """Held-out loss in nats a token and bits per byte, over all rows, beside it."""

    name = "token_probability"
    title = "Token probability, %"
    tasks = ("text",)
    meaning = (
        "Token probability is the geometric mean of the probabilities that the model gives a text's tokens, each after "
        "those before it: 100 is a text known by heart."
    )

    def scores(self, lm: LM, data: Split, rows: Sequence[Record]) -> Scores:
        base, found = cast("TrainableLM", lm), []
        if "logprobs" not in lm.can and not (getattr(base, "own_head", None) and base.own_head("mask")):
            raise LuthierError("this model gives no likelihood of a text")
        parts: list[tuple[int, float, int]] = []
        size = 0
        # a model that reads a text's parts whole is asked as it was trained: it knows no places beyond
        room = (base.limit if base.told else base.context) - len(base.virtual)
        for i, row in enumerate(rows):
            ids = list(base.tokenizer(row.wanted, verbose=False)["input_ids"])
            values = [float(v) for part, new in stretches(ids, room) for v in base.stretch_logprobs(part)[-new:]]
            found.append(values)
            unseen = str(base.tokenizer.decode(ids[: len(ids) - len(values)], skip_special_tokens=True))
            size += max(len(row.wanted.encode()) - len(unseen.encode()), 0) if values else 0
            own = [] if base.told or not values else blocks(base.tokenizer, ids[len(ids) - len(values) :], values)
            parts += [(i, nats, count) for nats, count in own]
            if base.progress:
                base.progress(i + 1, len(rows))
        nats = -math.fsum(v for values in found for v in values)
        secondary = {
            "held_out_loss": nats / max(sum(map(len, found)), 1),
            f"{base.told}bits_per_byte": nats / (math.log(2) * max(size, 1)),
        }
        per_row = [math.exp(math.fsum(values) / len(values)) if values else 0.0 for values in found]
        return Scores(self.name, per_row, ["" for _ in rows], secondary, blocks=parts or None)


METRIC = TokenProbability()
