"""Learning from answers that were found good or bad, one by one: no pairs are needed.

Good: w (1 - σ(β r - z)), bad: w (1 - σ(z - β r)), with r = log π - log π_ref summed over the answer, and z = β times
the policy's distance from the reference, estimated on answers to other prompts, never below 0 and without a gradient.
The rarer kind weighs more, so that w n of good and of bad lie in 1 to 4/3. Of a pair, the preferred answer is good and
the other one bad, of a ranking the best and the worst. Source: Ethayarajh et al. 2024, "KTO: Model Alignment as
Prospect Theoretic Optimization".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Gt

from luthier.core.batch import Batch
from luthier.core.cursor import Cursor
from luthier.core.errors import LuthierError
from luthier.core.example import Example
from luthier.core.records import Compared, Judged, Record
from luthier.core.split import Split
from luthier.objectives.preferences import answers
from luthier.objectives.preferences.reference import WithReference

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.models.outputs import Outputs
    from luthier.training.context import Context

extras = ()
WEIGHT, DISTANCE = "weight", "distance"  # columns: w; z / β
MOST = 4 / 3  # of w n of the good answers to that of the bad ones


@dataclass(frozen=True)
class Kto(WithReference):
    """beta: how tightly the policy is held to the reference. good, bad: what such an answer weighs; by default the

    rarer kind more. max_length: in tokens, of a prompt with an answer; a prompt that is too long is shortened.
    """

    beta: Annotated[float, Gt(0)] = 0.1
    good: Annotated[float, Gt(0)] | None = None
    bad: Annotated[float, Gt(0)] | None = None
    max_length: int = 1024

    def dataset(self, ctx: Context, data: Split) -> Sequence[Example]:
        """Beside each example stands, in `_kept`, its prompt with the next answer to another prompt."""
        found = super().dataset(ctx, data)
        self._kept["mismatched"] = self._mismatched(ctx.policy, data.train, found)
        return found

    def _mismatched(
        self, lm: TrainableLM, records: Sequence[Record], examples: Sequence[Example]
    ) -> dict[int, Example]:
        """Each example's prompt with the next answer to another prompt, by the example's row."""
        said = [
            (row, record.messages, text)
            for row, record in enumerate(records)
            if isinstance(record, Judged | Compared)
            for text, _ in answers.judged(record)
        ]
        last = {row: at for at, (row, _, _) in enumerate(said)}
        out: dict[int, Example] = {}
        for example in examples:
            at = last[example.source]
            prompt = said[at][1]
            others = (said[(at + step) % len(said)] for step in range(1, len(said)))
            other = next((text for _, asked, text in others if asked != prompt), None)
            for found in answers.answered(lm, example.row, prompt, other) if other else ():
                out[example.row] = found
        return out

    def encode(self, lm: TrainableLM, data: Split, records: Sequence[Record]) -> list[Any]:
        """With the weight of each example's kind."""
        found = super().encode(lm, data, records)
        good, bad = self._weights(sum(bool(e.columns[answers.CHOSEN][0]) for e in found), len(found))
        return [
            replace(e, columns={**e.columns, WEIGHT: [good if e.columns[answers.CHOSEN][0] else bad] * len(e.where)})
            for e in found
        ]

    def _weights(self, good: int, whole: int) -> tuple[float, float]:
        """What good and bad answers weigh."""
        share = good / (whole - good) if 0 < good < whole else 1.0
        return self.good or max(1 / share, 1.0), self.bad or max(share / MOST, 1.0)

    def examples(self, lm: TrainableLM, data: Split, row: int, record: Record) -> list[Example]:
        if not isinstance(record, Judged | Compared):
            raise LuthierError("objective kto: learns from answers that were found good or bad")
        out = []
        for text, good in answers.judged(record):
            for found in answers.answered(lm, row, record.messages, text):
                out.append(replace(found, columns={**found.columns, answers.CHOSEN: [float(good)] * len(found.where)}))
        return out

    def batches(self, ctx: Context, dataset: Sequence[Example], size: int, cursor: Cursor) -> Iterator[list[Example]]:
        """Every step's distance is measured before it, on the answers to other prompts."""
        mismatched: dict[int, Example] = self._kept["mismatched"]
        for chosen in super().batches(ctx, dataset, size, cursor):
            other = [mismatched[e.row] for e in chosen if e.row in mismatched and mismatched[e.row].where]
            asked = answers.not_asked(other, self.known).values()
            if not ctx.meter.fits(sum(e.tokens for e in (*other, *asked, *chosen))):
                return
            before = answers.reference_logprobs(ctx, other, self.known)
            now = ctx.now("distance").logprobs(other)
            apart = [float(a.double().sum()) - b for a, b in zip(now, before, strict=True)]
            distance = max(sum(apart) / max(len(apart), 1), 0.0)
            yield [replace(e, columns={**e.columns, DISTANCE: [distance] * len(e.where)}) for e in chosen]

    def divisors(self, examples: Sequence[Any]) -> dict[str, float]:
        rows = max(len(examples), 1)
        return {"kto": float(rows), "_distance": float(rows)}

    def loss(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        import torch

        spans = torch.tensor(batch.spans, device=batch.ids.device)
        first = spans.cumsum(0) - spans
        gained = answers.sums(out.logprobs() - batch.columns[answers.REFERENCE], batch)
        distance = batch.columns[DISTANCE][first] if DISTANCE in batch.columns else torch.zeros_like(gained)
        good, weight = batch.columns[answers.CHOSEN][first] > 0, batch.columns[WEIGHT][first]
        sign = torch.where(good, 1.0, -1.0)
        loss = weight * (1 - torch.sigmoid(sign * self.beta * (gained - distance)))
        return {"kto": loss.sum(), "_distance": distance.sum()}


METHOD = Kto
