"""How likely a model finds plain text: the geometric mean of the probabilities of its tokens, text by text.

exp(-loss) a row, where the loss is in nats a token; perplexity is its inverse. Loss and bits per byte stand beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from luthier.core.errors import LuthierError
from luthier.core.lm import LM
from luthier.core.metric import Metric, Scores
from luthier.core.records import Record
from luthier.core.split import Split

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM


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
        if "logprobs" not in lm.can:
            raise LuthierError("this model gives no likelihood of a text")
        base, found = cast("TrainableLM", lm), []
        room = base.context - len(base.virtual)
        for i, row in enumerate(rows):
            ids = list(base.tokenizer(row.wanted, verbose=False)["input_ids"])[:room]
            found.append([float(v) for v in base.stretch_logprobs(ids)] if len(ids) > 1 else [])
            if base.progress:
                base.progress(i + 1, len(rows))
        nats = -math.fsum(v for values in found for v in values)
        size = sum(len(row.wanted.encode()) for row in rows)
        secondary = {
            "held_out_loss": nats / max(sum(map(len, found)), 1),
            "bits_per_byte": nats / (math.log(2) * max(size, 1)),
        }
        per_row = [math.exp(math.fsum(values) / len(values)) if values else 0.0 for values in found]
        return Scores(self.name, per_row, ["" for _ in rows], secondary)


METRIC = TokenProbability()
