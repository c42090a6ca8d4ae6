"""Beginnings that several prompts share: which ones are worth computing once, and their keys and values.

Rows behind one see its keys and values where they are; nobody has a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from luthier.models.attention.packed import KeysValues
from luthier.models.inference.scoring import WORTH_SHARING, run_prefix

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM


@dataclass(frozen=True, eq=False)
class Beginning:
    """A beginning. states: its keys and values, learned ones before its tokens' own; places: how many these are."""

    ids: tuple[int, ...]
    states: KeysValues
    places: int

    def begins(self, prompt: Sequence[int]) -> bool:
        """Whether the prompt begins with it and goes on."""
        return len(prompt) > len(self.ids) and tuple(prompt[: len(self.ids)]) == self.ids


def grow(lm: CausalLM, ids: Sequence[int]) -> Beginning:
    """The beginning of these tokens, computed."""
    return Beginning(tuple(ids), run_prefix(lm, ids) or {}, len(ids) + lm.ahead)


def most_shared(prompts: Sequence[Sequence[int]]) -> tuple[int, list[int]]:
    """The beginning whose sharing saves most tokens: its length, 0 if there is none, and the numbers of its prompts.

    Each of them keeps a token of its own. Among sorted prompts, what neighbours share is a row of bars, and tokens
    saved by a beginning are a rectangle under them: the largest is sought.
    """
    order = sorted(range(len(prompts)), key=lambda i: list(prompts[i]))
    bars = [_shared(prompts[a], prompts[b]) for a, b in pairwise(order)]
    best = (0, 0, 0, 0)  # tokens saved, length, first and last of `order`
    open_: list[tuple[int, int]] = []  # where a rectangle begins, and its height
    for at, height in enumerate([*bars, 0]):
        begin = at
        while open_ and open_[-1][1] >= height:
            begin, length = open_.pop()
            best = max(best, ((at - begin) * length, length, begin, at))
        open_.append((begin, height))
    _, length, begin, end = best
    return length, order[begin : end + 1] if length else []


def _shared(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens both begin with; 0 where that is not worth sharing."""
    limit = min(len(a), len(b)) - 1
    n = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), limit)
    n = min(n, limit)
    return n if n >= WORTH_SHARING else 0
