"""What training draws on: one sequence of tokens, and what should be said at some of its places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Column = Sequence[float] | Sequence[Sequence[float]]


@dataclass(frozen=True)
class Example:
    """One sequence: its token ids, and at `where` (places in it) what a head should say there (`targets`).

    row: its id. record: the training row it was made from, where that is not `row`.
    decoder: what an encoder-decoder's decoder is given; `where` then counts in it.
    cut: tokens of its prompt that gave way, since it was too long; lost: tokens of its answer that are not learned.
    group: examples of one group (the pair of a preference, the answers to one prompt) share a micro-batch.
    columns: numbers that a loss needs besides, by name: one, or k, for each place in `where`.
    """

    row: int
    ids: tuple[int, ...]
    where: tuple[int, ...]
    targets: tuple[int, ...]
    decoder: tuple[int, ...] = ()
    record: int | None = None
    cut: int = 0
    lost: int = 0
    group: int | None = None
    columns: Mapping[str, Column] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Example:
        """The inverse of `dataclasses.asdict`, after JSON too."""
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**given)

    @property
    def tokens(self) -> int:
        """How many tokens go through the model."""
        return len(self.ids) + len(self.decoder)

    @property
    def source(self) -> int:
        """The training row it was made from, counted from 0."""
        return self.row if self.record is None else self.record


def units_of(examples: Sequence[Example]) -> list[list[int]]:
    """Places of what must not be parted: the members of each group, where its first stands, and single examples."""
    units: dict[tuple[str, int], list[int]] = {}
    for at, example in enumerate(examples):
        units.setdefault(("single", at) if example.group is None else ("group", example.group), []).append(at)
    return list(units.values())


def renumbered(examples: Sequence[Example]) -> list[Example]:
    """Examples with ids of their own: a conversation may have given several, or none."""
    return [replace(e, row=i, record=e.source) for i, e in enumerate(examples)]
