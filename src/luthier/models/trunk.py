"""The frozen part of a model below the lowest trained parameter: run once per example, never once per epoch.

Examples are taken in fixed groups of neighbours, so that what is cached does not depend on the order of training and
a resumed run sees the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from luthier.data.pack import Example, pack
from luthier.models.attention import Packed
from luthier.protocols import Batch

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM

GROUP = 16  # examples whose trunk runs together
LIMIT = 4 << 30  # bytes of cached states; what lies beyond is computed anew each time


class _Reached(Exception):
    """Ends a forward pass at the first block that is not needed."""


class Trunk:
    """Hidden states of examples where the lowest trained block begins (`cut` blocks below it), cached in memory.

    With every block below the cut only the places a head reads are kept, after the final norm.
    """

    def __init__(self, lm: CausalLM, cut: int, examples: Sequence[Example]) -> None:
        self.lm, self.cut, self.examples = lm, cut, examples
        self.rows = {e.row: i for i, e in enumerate(examples)}
        self.cache: dict[int, Tensor] = {}
        self.bytes = 0
        self.whole = cut >= len(lm.blocks)

    @torch.no_grad()
    def _group(self, group: int) -> dict[int, Tensor]:
        members = list(range(group * GROUP, min((group + 1) * GROUP, len(self.examples))))
        batch = pack([self.examples[i] for i in members], {}, self.lm.device)
        if self.whole:
            states = self.lm.hidden(batch.ids, batch.positions, batch.segments)[batch.where]
            sizes = list(batch.spans)
        else:
            states, sizes = self._below(batch), list(batch.segments)
        return {i: part.clone() for i, part in zip(members, states.split(sizes), strict=True)}

    def _below(self, batch: Batch) -> Tensor:
        caught: list[Tensor] = []

        def stop(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            caught.append(args[0] if args else kwargs["hidden_states"])
            raise _Reached

        handle = self.lm.blocks[self.cut].register_forward_pre_hook(stop, with_kwargs=True)
        try:
            self.lm.hidden(batch.ids, batch.positions, batch.segments)
        except _Reached:
            pass
        finally:
            handle.remove()
        return caught[0][0]

    def states(self, rows: Sequence[int]) -> Tensor:
        """Cached states of the examples with these ids, end to end: (T, d), or (N, d) when only heads train."""
        places = [self.rows[r] for r in rows]
        fresh: dict[int, Tensor] = {}
        for i in places:
            if i not in self.cache and i not in fresh:
                found = self._group(i // GROUP)
                fresh.update(found)
                size = sum(t.nbytes for t in found.values())
                if self.bytes + size <= LIMIT:
                    self.cache.update(found)
                    self.bytes += size
        return torch.cat([self.cache[i] if i in self.cache else fresh[i] for i in places])

    def hidden(self, batch: Batch) -> Tensor:
        """Hidden states (N, d) at `batch.where`, the trunk's share from the cache."""
        states = self.states(batch.rows)
        if self.whole:
            return states
        with self._upper_only():
            out = self.lm.forward(batch.ids[None], batch.positions[None], Packed(batch.segments), embeds=states[None])
        return out[0][batch.where]

    @contextmanager
    def _upper_only(self) -> Iterator[None]:
        decoder, blocks = self.lm.decoder, self.lm.blocks
        name = next(n for n, child in decoder.named_children() if child is blocks)
        setattr(decoder, name, blocks[self.cut :])
        try:
            yield
        finally:
            setattr(decoder, name, blocks)

    def agrees(self) -> bool:
        """Whether the cached way gives what the whole model gives: models that touch embeddings again do not."""
        if self.whole:
            return True
        batch = pack(self.examples[:1], {}, self.lm.device)
        with torch.no_grad():
            want = self.lm.hidden(batch.ids, batch.positions, batch.segments)[batch.where]
            got = self.hidden(batch)
        return bool(torch.allclose(want, got, rtol=1e-4, atol=1e-4))


def make_trunk(lm: CausalLM, cut: int | None, examples: Sequence[Example]) -> Trunk | None:
    """A cache for the frozen part, or None where there is none or the model's blocks cannot be run apart."""
    if cut is None or cut <= 0 or not examples:
        return None
    trunk = Trunk(lm, cut, examples)
    return trunk if trunk.agrees() else None
