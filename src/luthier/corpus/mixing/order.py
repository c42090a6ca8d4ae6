"""Which document comes when: every source spread over the whole mix, at random or from easy to hard.

A document's place is a number from 0 to 1: how far its source has come with it, in tokens. All sources are put together
by these numbers, so that shares are the same from beginning to end. A curriculum (Bengio et al. 2009) puts a source's
documents in the order of their difficulty first, in `stages` that are shuffled within; `ramp` moves every document by
up to that share of the whole, so that stages run into each other. The same seed gives the same order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from luthier.core.errors import LuthierError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curriculum:
    """by: what is easy comes first: length, perplexity, quality (the better, the later), or a list of sources.

    stages: steps from easy to hard. ramp: by which share of the whole documents are moved at random. reference, good,
    bad: of perplexity and quality, as those of the stages of these names.
    """

    by: str | tuple[str, ...] = "length"
    stages: Annotated[int, Ge(1)] = 4
    ramp: Annotated[float, Ge(0), Le(1)] = 0.1
    reference: str = ""
    model: str = ""
    good: str = ""
    bad: str = ""

    def __post_init__(self) -> None:
        needs = {
            "length": True,
            "perplexity": bool(self.reference or self.model),
            "quality": bool(self.good and self.bad),
        }
        if isinstance(self.by, str) and self.by not in needs:
            raise LuthierError(f"curriculum: by: {self.by}: {', '.join(needs)}, or a list of the sources")
        if isinstance(self.by, str) and not needs[self.by]:
            what = "`reference` or `model`" if self.by == "perplexity" else "`good` and `bad`"
            raise LuthierError(f"curriculum: by: {self.by} needs {what}")


@dataclass(frozen=True)
class Order:
    """Documents in the order of the mix: source (its number) and document of it, each (documents)."""

    source: NDArray[np.int64]
    document: NDArray[np.int64]


def drawn(lengths: NDArray[np.int64], tokens: int, seed: int, name: str) -> NDArray[np.int64]:
    """Documents of a source that hold about so many tokens: whole rounds, and of a last one what comes nearest."""
    out, left, size = [np.zeros(0, np.int64)], tokens, int(lengths.sum())
    round_ = 0
    while left > 0 and size:
        order = _random(seed, name, round_).permutation(len(lengths))
        if left < size:
            sums = np.concatenate([[0], np.cumsum(lengths[order])])
            cut = int(np.searchsorted(sums, left))
            order = order[: cut - 1 if left - sums[cut - 1] < sums[cut] - left else cut]  # whichever is nearer
        out.append(order)
        left, round_ = left - size, round_ + 1
    return np.concatenate(out)


def places(lengths: NDArray[np.int64]) -> Array:
    """How far a source has come in the middle of each of its documents, in their order: (documents)."""
    ends = np.cumsum(lengths)
    return (ends - lengths / 2) / max(int(ends[-1]), 1) if len(ends) else np.zeros(0)


def by_difficulty(
    found: NDArray[np.int64], difficulty: Array, given: Curriculum, seed: int, name: str
) -> NDArray[np.int64]:
    """A source's documents from easy to hard. difficulty: of all its documents."""
    random = _random(seed, name, -1)
    rank = np.argsort(np.argsort(difficulty[found], kind="stable"), kind="stable") / max(len(found), 1)
    step = np.floor(rank * given.stages) / given.stages
    moved = step + random.uniform(0, 1 / given.stages, len(found)) + given.ramp * random.uniform(-0.5, 0.5, len(found))
    return found[np.argsort(moved, kind="stable")]


def together(each: Mapping[str, tuple[NDArray[np.int64], Array]]) -> Order:
    """All sources in one order. each: documents of a source, and the place of each."""
    source = np.concatenate([np.full(len(own), at, np.int64) for at, (own, _) in enumerate(each.values())])
    document = np.concatenate([own for own, _ in each.values()])
    place = np.concatenate([where for _, where in each.values()])
    order = np.lexsort((source, place))
    return Order(source[order], document[order])


def _random(seed: int, name: str, round_: int) -> np.random.Generator:
    """The same numbers for a seed, a source and a round, whatever else there is."""
    key = hashlib.blake2b(f"{seed} {round_} {name}".encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(key, "little"))
