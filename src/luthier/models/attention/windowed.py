"""Causal attention within a window, with or without the text's first tokens, in blocks of queries.

A block is given the keys that one of its queries sees and no others: time and memory grow with the length of the text
times that of the window, and not with the square of the length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 128  # queries


@dataclass(frozen=True)
class Block:
    """Queries from `at` to `end`, the keys before `first` and those from `begin` to `last`. mask: (end - at, keys)
    bool, True where a key is seen."""

    at: int
    end: int
    first: int
    begin: int
    last: int
    mask: Tensor

    def of(self, t: Tensor) -> Tensor:
        """Of all keys or values (B, kv_heads, m, d) those of the block."""
        near = t[:, :, self.begin : self.last]
        return torch.cat([t[:, :, : self.first], near], 2) if self.first else near


def blocks(n: int, past: int, window: int, sinks: int, device: torch.device) -> Iterator[Block]:
    """For n queries that are the last of past + n places."""
    for at in range(0, n, BLOCK):
        end = min(at + BLOCK, n)
        last = past + end
        begin = max(past + at - window + 1, 0)
        first = min(sinks, begin)  # those in front of what the window has
        keys = torch.cat([torch.arange(first, device=device), torch.arange(begin, last, device=device)])
        asked = torch.arange(past + at, last, device=device)[:, None]
        yield Block(at, end, first, begin, last, seen(asked, keys, window, sinks))


def seen(asked: Tensor, keys: Tensor, window: int, sinks: int) -> Tensor:
    """Whether queries at places (n, 1) see keys at places (m,), both counted from the beginning of the text: (n, m)."""
    return (keys <= asked) & ((asked - keys < window) | (keys < sinks))
