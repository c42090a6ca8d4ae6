"""Answers to one prompt as examples, sums over their tokens, and what the reference thought of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.core.example import Example
from luthier.core.records import Compared, Judged, Message, Record
from luthier.core.split import Split

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.core.batch import Batch
    from luthier.models.base import TrainableLM
    from luthier.training.context import Context

PART = 2  # of max_length that answers may take from the prompts of all rows
CHOSEN, WORTH = "chosen", "worth"  # columns: 1 for the best answers of a row, else 0; the number of an answer
REFERENCE = "reference"  # column: log p of the reference, summed at an answer's first token


def judged(record: Record) -> list[tuple[str, bool]]:
    """Answers of a row that were found good or bad: of a comparison the best and the worst ones."""
    if isinstance(record, Compared):
        ends = max(record.worth), min(record.worth)
        told = zip(record.answers, record.worth, strict=True)
        return [(text, worth == ends[0]) for text, worth in told if worth in ends] if ends[0] > ends[1] else []
    return [(record.reply.said, record.good)] if isinstance(record, Judged) else []


def room_for(lm: TrainableLM, data: Split) -> int:
    """Tokens that prompts leave for answers: of the longest one, a part of the limit at most."""
    answers = {text for record in data.train for text in said(record)}
    longest = max((lm.answer_room(lm.encode_answer(text, ())) for text in answers), default=0)
    return min(longest, lm.limit // PART)


def said(record: Record) -> tuple[str, ...]:
    """All answers of a row."""
    return record.answers if isinstance(record, Compared) else tuple(text for text, _ in judged(record))


def compared(name: str, record: Record) -> Compared:
    """The row of an objective that learns from comparisons. Raises LuthierError for a record of another kind."""
    if not isinstance(record, Compared):
        raise LuthierError(f"objective {name}: learns from pairs of a preferred and a rejected answer, or rankings")
    return record


def grouped(row: int, record: Compared, found: Sequence[Example]) -> list[Example]:
    """An example for each of the answers of a comparison, as one group; none where an answer is left empty."""
    if len(found) != len(record.answers) or not record.pairs or not all(e.where for e in found):
        return []
    best = max(record.worth)
    return [
        replace(e, group=row, columns={**e.columns, CHOSEN: [float(worth == best)] * len(e.where),
                                       WORTH: [worth] * len(e.where)})
        for e, worth in zip(found, record.worth, strict=True)
    ]  # fmt: skip


def group(lm: TrainableLM, name: str, row: int, record: Record) -> list[Example]:
    """The answers of a comparison behind the same prompt, in one group.

    A prompt that is too long is shortened for the longest answer. Raises LuthierError for a record of another kind.
    """
    told = compared(name, record)
    found = _all(lm, row, told)
    if len({_prompt(e) for e in found}) > 1:
        room = max(lm.answer_limit(len(e.where) + e.lost) for e in found)
        found = _all(replace(lm, room=max(room, lm.room)), row, told)
    return grouped(row, told, found)


def _all(lm: TrainableLM, row: int, record: Compared) -> list[Example]:
    return [e for text in record.answers for e in answered(lm, row, record.messages, text)]


def _prompt(example: Example) -> tuple[int, ...]:
    """What stands before an answer. Of an encoder-decoder it is all that the encoder is given."""
    return example.ids if example.decoder or not example.where else example.ids[: example.where[0] + 1]


def groups_in(examples: Sequence[Example]) -> float:
    """How many comparisons these examples are, at least 1: what sums over them are divided by."""
    return max(float(len({e.group for e in examples})), 1.0)


def answered(lm: TrainableLM, row: int, messages: Sequence[Message], text: str) -> list[Example]:
    """An answer behind its prompt, with the token that ends its turn; the assistant's turns before it carry no loss."""
    before = (replace(m, learned=False) if m.role == "assistant" else m for m in messages)
    return lm.chat_examples(row, (*before, Message("assistant", text)))


def sums(values: Tensor, batch: Batch) -> Tensor:
    """Sums of the values at each segment's places: (N,) -> (S,)."""
    import torch

    spans = torch.tensor(batch.spans, device=values.device)
    segments = torch.arange(len(batch.spans), device=values.device)
    where = torch.repeat_interleave(segments, spans, output_size=len(values))
    return torch.zeros(len(batch.spans), dtype=values.dtype, device=values.device).index_add(0, where, values)


def lengths(batch: Batch) -> Tensor:
    """Learned tokens of each segment, (S,) float32."""
    import torch

    return torch.tensor(batch.spans, dtype=torch.float32, device=batch.ids.device)


@dataclass(frozen=True)
class Sides:
    """P pairs of segments, each (P,): where the better and the worse one are, and the pair's weight.

    All pairs of a group that are told apart, with equal weights that add up to 1: a ranking of many answers counts as
    much as a pair.
    """

    better: Tensor
    worse: Tensor
    weight: Tensor


def sides(batch: Batch) -> Sides:
    """The pairs of a micro-batch, group by group."""
    import torch

    device = batch.ids.device
    worth = batch.columns[WORTH][torch.tensor(batch.spans, device=device).cumsum(0) - 1].tolist()
    by_group: dict[Any, list[int]] = {}
    for at, member in enumerate(batch.groups):
        by_group.setdefault(member, []).append(at)
    pairs: list[tuple[int, int]] = []
    weights: list[float] = []
    for members in by_group.values():
        found = [(i, j) for i in members for j in members if worth[i] > worth[j]]
        assert found, "nothing is told apart: a group was split"
        pairs += found
        weights += [1 / len(found)] * len(found)
    places = torch.tensor(pairs, device=device).view(-1, 2)
    return Sides(places[:, 0], places[:, 1], torch.tensor(weights, device=device))


def not_asked(examples: Sequence[Example], known: Mapping[str, float]) -> dict[str, Example]:
    """Those whose log-probability under the reference is not known yet, by their content."""
    return {key: e for e in examples if (key := _key(e)) not in known}


def with_reference(ctx: Context, examples: Sequence[Example], known: dict[str, float]) -> list[Example]:
    """The examples with the reference's log-probability of each answer as a column."""
    return [
        replace(e, columns={**e.columns, REFERENCE: [value, *[0.0] * (len(e.where) - 1)]})
        for e, value in zip(examples, reference_logprobs(ctx, examples, known), strict=True)
    ]


def reference_logprobs(ctx: Context, examples: Sequence[Example], known: dict[str, float]) -> list[float]:
    """The reference's log-probability of each answer in nats; what is known is not computed again.

    known: by content; it is added to. What is computed counts in the budget.
    """
    if missing := not_asked(examples, known):
        known |= dict(zip(missing, _said_of(ctx, missing), strict=True))
    return [known[_key(e)] for e in examples]


def _said_of(ctx: Context, missing: Mapping[str, Example]) -> list[float]:
    """What the reference says of texts by their content, asked once for all runs on one base: the same texts read
    together give the same bits, whichever run comes first. Each run's budget pays for it all the same."""
    import torch

    kept, key = ctx.policy.trunks, ("reference", *missing)
    if key in kept:
        ctx.meter.count("reference", sum(e.tokens for e in missing.values()))
    else:
        with ctx.reference() as reference:
            found = reference.logprobs(list(missing.values()))
        kept[key] = torch.tensor([float(values.double().sum()) for values in found], dtype=torch.float64)
    return [float(value) for value in kept[key]]


def _key(example: Example) -> str:
    """The same for examples of the same content."""
    content = (example.ids, example.decoder, example.where, example.targets)
    return hashlib.blake2b(repr(content).encode(), digest_size=16).hexdigest()
