"""Rows of unlike length as one padded block, for models whose attention cannot be told about packed segments."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from luthier.models.blocks import outputs_of

STRETCH, SLACK = 1.25, 8  # rows up to a quarter and eight tokens longer than the shortest are padded together


class Padded:
    """B rows in a block as long as the longest, padded on the right. mask: (B, n) bool, True on real tokens."""

    def __init__(self, segments: Sequence[int], device: torch.device) -> None:
        sizes = torch.tensor(segments, device=device)
        longest = max(segments)
        self.mask = torch.arange(longest, device=device)[None] < sizes[:, None]
        places = [row * longest + at for row, size in enumerate(segments) for at in range(size)]
        self.where = torch.tensor(places, device=device)  # of real tokens among all

    def spread(self, packed: Tensor, fill: int = 0) -> Tensor:
        """Rows end to end (T, ...) -> (B, n, ...)."""
        out = packed.new_full((*self.mask.shape, *packed.shape[1:]), fill)
        out.flatten(0, 1)[self.where] = packed
        return out

    def gather(self, block: Tensor) -> Tensor:
        """(B, n, ...) -> rows end to end (T, ...)."""
        return block.flatten(0, 1)[self.where]


def like_lengths(segments: Sequence[int], alike: bool = False) -> Iterator[list[int]]:
    """Row numbers, those together that are padded without much waste; `alike`: only those of one length."""
    group: list[int] = []
    for row in sorted(range(len(segments)), key=lambda i: segments[i]):
        if group and segments[row] > (segments[group[0]] if alike else STRETCH * segments[group[0]] + SLACK):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


Run = Callable[[Tensor, Tensor], Tensor]  # padded ids and their mask (B, n) -> (B, n, ...)


def by_groups(ids: Tensor, segments: Sequence[int], fill: int, run: Run, alike: bool = False) -> Tensor:
    """`run` on padded ids and their mask (B, n), giving (B, n, ...), for rows of like length; -> (T, ...) in order.

    ids: (T,) rows end to end. fill: the padding's id.
    """
    parts = ids.split(list(segments))
    found: list[Tensor | None] = [None] * len(parts)
    for rows in like_lengths(segments, alike):
        sizes = [segments[row] for row in rows]
        block = Padded(sizes, ids.device)
        states = block.gather(run(block.spread(torch.cat([parts[row] for row in rows]), fill), block.mask))
        for row, state in zip(rows, states.split(sizes), strict=True):
            found[row] = state
    return torch.cat(cast(list[Tensor], found))


def states_after(
    blocks: nn.ModuleList, depths: Collection[int], ids: Tensor, segments: Sequence[int], fill: int, run: Run,
    alike: bool = False,
) -> dict[int, Tensor]:  # fmt: skip
    """States (T, d) after so many of the blocks, when `run` runs the model on padded rows."""

    def watched(block: Tensor, mask: Tensor) -> Tensor:
        with outputs_of(blocks, depths) as found:
            run(block, mask)
        return torch.stack([found[depth] for depth in depths], 2)

    return dict(zip(depths, by_groups(ids, segments, fill, watched, alike).unbind(1), strict=True))
