"""Tokenised examples and the batches made of them: sequences end to end, no padding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from luthier.core.batch import Batch
from luthier.core.example import Example, units_of

if TYPE_CHECKING:
    import torch

    from luthier.core.records import Record, Split

WEIGHT = "weight"  # the column of what a place counts
KEPT_TAIL = 64  # tokens at the end of a prompt that is too long: the question after a text


def shortened(ids: Sequence[int], limit: int, virtual: int = 0) -> list[int]:
    """At most `limit` tokens, so many virtual ones in front among them: what is behind these loses its middle."""
    if len(ids) <= limit:
        return list(ids)
    room = max(limit - virtual, 1)
    tail = min(room // 2, KEPT_TAIL)
    return [*ids[: virtual + room - tail], *ids[len(ids) - tail :]]


def next_token(row: int, ids: Sequence[int], answer: Sequence[bool], max_length: int, cut: int = 0) -> Example:
    """An example whose loss is on the tokens marked in `answer`: each is predicted at the place before it.

    What is beyond max_length is not learned, and counted. cut: tokens of the prompt that gave way before.
    """
    lost = sum(answer[max_length:])
    ids = ids[:max_length]
    learned = [i for i in range(1, len(ids)) if answer[i]]
    return Example(row, tuple(ids), tuple(i - 1 for i in learned), tuple(ids[i] for i in learned), cut=cut, lost=lost)


def weighed(example: Example, data: Split, record: Record) -> Example:
    """The example with what its row counts at every place, where rows count differently."""
    if not data.balanced:
        return example
    return replace(example, columns={**example.columns, WEIGHT: [data.weight(record)] * len(example.where)})


def pack(examples: Sequence[Example], weights: Mapping[str, float], device: str | torch.device = "cpu") -> Batch:
    """Lay the examples end to end; positions restart with each. All of them have the same columns."""
    import torch

    ids = [t for e in examples for t in e.ids]
    decoder = [t for e in examples for t in e.decoder]
    starts, at = [], 0
    for e in examples:
        starts.append(at)
        at += len(e.decoder if decoder else e.ids)

    def whole(values: Iterable[int]) -> torch.Tensor:
        return torch.tensor(list(values), dtype=torch.long, device=device)

    return Batch(
        ids=whole(ids),
        positions=whole(p for e in examples for p in range(len(e.ids))),
        segments=tuple(len(e.ids) for e in examples),
        where=whole(s + w for s, e in zip(starts, examples, strict=True) for w in e.where),
        targets=whole(t for e in examples for t in e.targets),
        rows=tuple(e.row for e in examples),
        spans=tuple(len(e.where) for e in examples),
        weights=dict(weights),
        decoder_ids=whole(decoder) if decoder else None,
        decoder_segments=tuple(len(e.decoder) for e in examples) if decoder else (),
        columns={
            name: torch.tensor([x for e in examples for x in e.columns[name]], dtype=torch.float32, device=device)
            for name in (examples[0].columns if examples else ())
        },
        groups=tuple(e.group for e in examples),
    )


def micro_batches(examples: Sequence[Example], limit: int) -> list[list[Example]]:
    """Cut a step's examples into runs of at most `limit` tokens; one longer example, or group of them, stands alone."""
    out: list[list[Example]] = []
    size = 0
    for unit in ([examples[at] for at in unit] for unit in units_of(examples)):
        tokens = sum(e.tokens for e in unit)
        if not out or size + tokens > limit:
            out.append([])
            size = 0
        out[-1] += unit
        size += tokens
    return out


def grouped(sizes: Sequence[int], order: Sequence[int], limit: int) -> list[list[int]]:
    """Row numbers in runs of at most `limit` tokens (one larger row stands alone), by rising `order`."""
    out: list[list[int]] = []
    total = 0
    for i in sorted(range(len(sizes)), key=lambda i: order[i]):
        if not out or total + sizes[i] > limit:
            out.append([])
            total = 0
        out[-1].append(i)
        total += sizes[i]
    return out
