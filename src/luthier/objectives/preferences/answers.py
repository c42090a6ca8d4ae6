"""Answers to one prompt as examples, sums over their tokens, and what the reference thought of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.core.example import Example
from luthier.core.records import Judged, Message, Preference, Record, Split

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.core.batch import Batch
    from luthier.models.base import TrainableLM
    from luthier.training.context import Context

PART = 2  # of max_length that answers may take from the prompts of all rows
CHOSEN, REFERENCE = "chosen", "reference"  # columns: 1 or 0; log p of the reference, summed at an answer's first token


def judged(record: Record) -> list[tuple[str, bool]]:
    """The answers of a row, and whether each was found good: of a pair the preferred one."""
    if isinstance(record, Preference):
        return [(record.chosen, True), (record.rejected, False)]
    return [(record.reply.said, record.good)] if isinstance(record, Judged) else []


def room_for(lm: TrainableLM, data: Split) -> int:
    """Tokens that prompts leave for answers: of the longest one, a part of the limit at most."""
    answers = {text for record in data.train for text, _ in judged(record)}
    longest = max((lm.answer_room(lm.encode_answer(text, ())) for text in answers), default=0)
    return min(longest, lm.limit // PART)


def pair_of(name: str, record: Record) -> Preference:
    """The row of an objective that learns from pairs. Raises LuthierError for a record of another kind."""
    if not isinstance(record, Preference):
        raise LuthierError(f"objective {name}: learns from pairs of a preferred and a rejected answer")
    return record


def grouped(row: int, found: Sequence[Example]) -> list[Example]:
    """The examples of a pair, the preferred one first, as one group."""
    return [
        replace(e, group=row, columns={**e.columns, CHOSEN: [float(first)] * len(e.where)})
        for e, first in zip(found, (True, False), strict=True)
    ]


def pair(lm: TrainableLM, name: str, row: int, record: Record) -> list[Example]:
    """The preferred answer and the other one behind the same prompt, in one group; nothing where one is left empty.

    A prompt that is too long is shortened for the longer answer. Raises LuthierError for a record of another kind.
    """
    record = pair_of(name, record)
    found = _both(lm, row, record)
    if len(found) == 2 and _prompt(found[0]) != _prompt(found[1]):
        room = max(lm.answer_limit(len(e.where) + e.lost) for e in found)
        found = _both(replace(lm, room=max(room, lm.room)), row, record)
    return grouped(row, found) if len(found) == 2 and all(e.where for e in found) else []


def _both(lm: TrainableLM, row: int, record: Preference) -> list[Example]:
    return [e for text, _ in judged(record) for e in answered(lm, row, record.messages, text)]


def _prompt(example: Example) -> tuple[int, ...]:
    """What stands before an answer. Of an encoder-decoder it is all that the encoder is given."""
    return example.ids if example.decoder or not example.where else example.ids[: example.where[0] + 1]


def pairs_in(examples: Sequence[Example]) -> float:
    """How many pairs these examples are, at least 1: what sums over pairs are divided by."""
    return max(len(examples) / 2, 1.0)


def answered(lm: TrainableLM, row: int, messages: Sequence[Message], text: str) -> list[Example]:
    """An answer behind its prompt, with the token that ends its turn; the assistant's turns before it carry no loss."""
    before = (replace(m, learned=False) if m.role == "assistant" else m for m in messages)
    return lm.chat_examples(row, (*before, Message("assistant", text)))


def sums(values: Tensor, batch: Batch) -> Tensor:
    """Sums of the values at each segment's places: (N,) -> (S,)."""
    import torch

    spans = torch.tensor(batch.spans, device=values.device)
    where = torch.repeat_interleave(torch.arange(len(batch.spans), device=values.device), spans)
    return torch.zeros(len(batch.spans), dtype=values.dtype, device=values.device).index_add(0, where, values)


def lengths(batch: Batch) -> Tensor:
    """Learned tokens of each segment, (S,) float32."""
    import torch

    return torch.tensor(batch.spans, dtype=torch.float32, device=batch.ids.device)


def sides(batch: Batch) -> tuple[Tensor, Tensor]:
    """Places of the preferred and of the rejected segments, pair by pair: (P,) and (P,)."""
    import torch

    first = torch.tensor(batch.spans, device=batch.ids.device).cumsum(0) - 1
    preferred = batch.columns[CHOSEN][first] > 0
    by_group: dict[Any, list[int]] = {}
    for at, group in enumerate(batch.groups):
        by_group.setdefault(group, []).append(at)
    flags = preferred.tolist()
    pairs = [sorted(members, key=lambda at: not flags[at]) for members in by_group.values()]
    assert all(len(members) == 2 for members in pairs), (
        "half of a pair: a group was split"
    )  # two halves look like a pair
    found = torch.tensor(pairs, device=batch.ids.device).view(-1, 2)
    return found[:, 0], found[:, 1]


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
        with ctx.reference() as reference:
            found = reference.logprobs(list(missing.values()))
        known |= {key: float(values.double().sum()) for key, values in zip(missing, found, strict=True)}
    return [known[_key(e)] for e in examples]


def _key(example: Example) -> str:
    """The same for examples of the same content."""
    content = (example.ids, example.decoder, example.where, example.targets)
    return hashlib.blake2b(repr(content).encode(), digest_size=16).hexdigest()
