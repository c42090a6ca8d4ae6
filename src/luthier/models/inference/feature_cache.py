"""The frozen part of a model below the lowest trained parameter: run once per example, never once per epoch.

Examples are taken in fixed groups of neighbours, so that what is cached does not depend on the order of training and
a resumed run sees the same bits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from luthier.core.batch import Batch
from luthier.core.example import Example
from luthier.data.pack import pack
from luthier.models.kernels.fast import fast

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM

GROUP = 16  # examples whose trunk runs together
DRAWN = 4096  # sampled examples whose states are kept: more than a rollout has
LIMIT = 4 << 30  # bytes of cached states; what lies beyond is computed anew each time


class FeatureCache:
    """Hidden states of examples where the lowest trained block begins (`cut` blocks below it), cached in memory.

    The cache belongs to the base and is keyed by content: a search for a learning rate fills it once for all its runs.

    With every block below the cut only the places a head reads are kept, after the final norm.
    """

    def __init__(self, lm: TrainableLM, cut: int, examples: Sequence[Example]) -> None:
        self.lm, self.cut, self.examples = lm, cut, examples
        self._drawn: deque[Hashable] = deque()
        self.places = {_content(e): i for i, e in enumerate(examples)}
        self.whole = cut >= len(lm.blocks)
        self.groups = [self._key(g) for g in range(-(-len(examples) // GROUP))]

    def _key(self, group: int) -> Hashable:
        """What the states of a group depend on: the cut, and the members with the places that are read."""
        members = self.examples[group * GROUP : (group + 1) * GROUP]
        return self.cut, tuple((e.ids, *((e.where, e.decoder) if self.whole else ())) for e in members)

    @torch.no_grad()
    def _group(self, group: int) -> tuple[Tensor, ...]:
        """States of each member of a group of neighbours."""
        batch = pack(self.examples[group * GROUP : (group + 1) * GROUP], {}, self.lm.device)
        sizes = batch.spans if self.whole else batch.segments
        found = self.lm.trunks.get(self.groups[group])
        if found is None:
            with fast(self.lm.model):  # also before the training begins: cached states are the same bits at any time
                found = self.lm.read(batch) if self.whole else self.lm.below(batch, self.cut)
            self._keep(self.groups[group], found)
        return cast(tuple[Tensor, ...], found.split(list(sizes)))

    @torch.no_grad()
    def _alone(self, example: Example) -> Tensor:
        """States of an example that is none of the dataset's, such as one that was sampled."""
        key = (self.cut, _content(example))
        if (found := self.lm.trunks.get(key)) is None:
            batch = pack([example], {}, self.lm.device)
            with fast(self.lm.model):
                found = self.lm.read(batch) if self.whole else self.lm.below(batch, self.cut)
            self._keep(key, found)
            self._forget_early(key)
        return found

    def _forget_early(self, key: Hashable) -> None:
        """What was drawn is learned for a few epochs and never seen again: the oldest gives way."""
        self._drawn.append(key)
        while len(self._drawn) > DRAWN:
            self.lm.trunks.pop(self._drawn.popleft(), None)

    def _keep(self, key: Hashable, states: Tensor) -> None:
        if states.nbytes + sum(t.nbytes for t in self.lm.trunks.values()) <= LIMIT:
            self.lm.trunks[key] = states

    def states(self, examples: Sequence[Example]) -> Tensor:
        """Cached states of these examples, end to end: (T, d), or (N, d) when only heads train."""
        places = [self.places.get(_content(e)) for e in examples]
        groups = {g: self._group(g) for g in sorted({i // GROUP for i in places if i is not None})}
        found = [
            self._alone(e) if i is None else groups[i // GROUP][i % GROUP]
            for i, e in zip(places, examples, strict=True)
        ]
        return torch.cat(found)

    def hidden(self, batch: Batch, examples: Sequence[Example]) -> Tensor:
        """Hidden states (N, d) at `batch.where`, the trunk's share from the cache. examples: those of the batch."""
        states = self.states(examples)
        if self.whole:
            return states
        return self.lm.above(batch, states, self.cut)

    def agrees(self) -> bool:
        """Whether the cached way gives what the whole model gives: models that touch embeddings again do not."""
        batch = pack(self.examples[:1], {}, self.lm.device)
        with torch.no_grad():
            want = self.lm.read(batch)
            got = self.hidden(batch, self.examples[:1])
        return bool(torch.allclose(want, got, rtol=1e-4, atol=1e-4))


def _content(e: Example) -> Hashable:
    return e.ids, e.where, e.decoder


def make_trunk(lm: TrainableLM, cut: int | None, examples: Sequence[Example]) -> FeatureCache | None:
    """A cache for the frozen part, or None where there is none or the model's blocks cannot be run apart."""
    if cut is None or cut <= 0 or not examples:
        return None
    trunk = FeatureCache(lm, cut, examples)
    return trunk if trunk.whole or (lm.separable and trunk.agrees()) else None
