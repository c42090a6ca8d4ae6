"""What goes through a model in one step: sequences end to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Token sequences laid end to end, without padding (T tokens, S segments, N places where a head is read).

    A sequence that begins as an earlier one does may leave that beginning to it: its segment is what differs.

    ids, positions: (T,) int64; positions restart with each segment and count the virtual tokens before it.
    segments: S lengths whose sum is T. where: (N,) indices into T. targets: (N,) token or label ids.
    rows: example id of each segment. spans: how many of the N places each segment owns.
    weights: what each named loss of the *whole step* is divided by, so that micro-batches add up exactly.
    columns: (N,) or (N, k) float32 by name: what a loss needs besides targets, such as advantages. groups: of each
    segment, None where it stands alone.
    behind: of each segment the earlier one that it goes on from, and behind how many of its tokens; None where it is
    a sequence of its own; empty where all are. `where` may point into that beginning.
    decoder_ids: (D,) what an encoder-decoder's decoder is given, in `decoder_segments`; `where` then indexes into it.
    """

    ids: Tensor
    positions: Tensor
    segments: tuple[int, ...]
    where: Tensor
    targets: Tensor
    rows: tuple[int, ...]
    spans: tuple[int, ...]
    weights: Mapping[str, float] = field(default_factory=dict)
    decoder_ids: Tensor | None = None
    decoder_segments: tuple[int, ...] = ()
    columns: Mapping[str, Tensor] = field(default_factory=dict)
    groups: tuple[int | None, ...] = ()
    behind: tuple[tuple[int, int] | None, ...] = ()

    @property
    def tokens(self) -> int:
        """Real tokens processed: the unit of the budget."""
        return len(self.ids) + sum(self.decoder_segments)
