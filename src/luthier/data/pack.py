"""Tokenised examples and the batches made of them: sequences end to end, no padding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from luthier.core.batch import Batch
from luthier.core.example import Example, units_of

if TYPE_CHECKING:
    import torch

    from luthier.core.records import Record
    from luthier.core.split import Split

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


def beginnings(examples: Sequence[Example]) -> list[tuple[int, int] | None]:
    """Of each example the first one of its group, where it begins as that does, and for how many tokens."""
    first: dict[int, int] = {}
    found: list[tuple[int, int] | None] = []
    for at, e in enumerate(examples):
        whole = first.setdefault(e.group, at) if e.group is not None else at
        pairs = zip(examples[whole].ids, e.ids[:-1], strict=False)  # a segment has at least one token of its own
        same = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(examples[whole].ids), len(e.ids) - 1))
        found.append((whole, same) if whole != at and same else None)
    return found


def pack(
    examples: Sequence[Example], weights: Mapping[str, float], device: str | torch.device = "cpu", share: bool = False
) -> Batch:
    """Lay the examples end to end; positions restart with each. All of them have the same columns.

    share: what members of a group begin with in common stands there once.
    """
    import torch

    decoder = [t for e in examples for t in e.decoder]
    behind = beginnings(examples) if share and not decoder else [None] * len(examples)
    skipped = [b[1] if b else 0 for b in behind]
    ids = [t for e, skip in zip(examples, skipped, strict=True) for t in e.ids[skip:]]
    starts, at = list[int](), 0
    for e, skip in zip(examples, skipped, strict=True):
        starts.append(at)
        at += len(e.decoder if decoder else e.ids) - skip

    def place(i: int, w: int) -> int:
        """Where in the batch place w of example i stands."""
        b = behind[i]
        return starts[i] + w if b is None else starts[b[0]] + w if w < b[1] else starts[i] + w - b[1]

    def whole(values: Iterable[int]) -> torch.Tensor:
        return torch.tensor(list(values), dtype=torch.long, device=device)

    return Batch(
        ids=whole(ids),
        positions=whole(p for e, skip in zip(examples, skipped, strict=True) for p in range(skip, len(e.ids))),
        segments=tuple(len(e.ids) - skip for e, skip in zip(examples, skipped, strict=True)),
        where=whole(place(i, w) for i, e in enumerate(examples) for w in e.where),
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
        behind=tuple(behind) if any(skipped) else (),
    )


def parted(sizes: Sequence[int], limit: int) -> list[list[int]]:
    """Places of neighbours whose sizes add up to the limit at most; one that is larger stands alone."""
    out: list[list[int]] = []
    total = 0
    for at, size in enumerate(sizes):
        if not out or total + size > limit:
            out.append([])
            total = 0
        out[-1].append(at)
        total += size
    return out


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
