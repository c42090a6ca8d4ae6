"""Which examples of a step each rank takes, and in how many passes: the same answer on every rank, without asking.

Groups (a preference's pair, the answers to a prompt) stay together. All ranks make equally many passes, since each of
them is made together: one that has nothing left makes an empty one.
"""

from __future__ import annotations

from collections.abc import Sequence

from luthier.core.example import Example, units_of
from luthier.data.pack import micro_batches


def shares(examples: Sequence[Example], ranks: int) -> list[list[Example]]:
    """Of each rank: the longest unit goes to the rank with the fewest tokens so far, and so on; order is kept."""
    units = units_of(examples)
    sizes = [sum(examples[at].tokens for at in unit) for unit in units]
    taken, tokens = [list[int]() for _ in range(ranks)], [0] * ranks
    for i in sorted(range(len(units)), key=lambda i: -sizes[i]):
        rank = tokens.index(min(tokens))
        taken[rank].append(i)
        tokens[rank] += sizes[i]
    return [[examples[at] for i in sorted(mine) for at in units[i]] for mine in taken]


def passes(examples: Sequence[Example], ranks: int, limit: int) -> list[list[list[Example]]]:
    """Of each rank: its share in micro-batches of at most `limit` tokens, with empty ones where others have more."""
    found = [micro_batches(share, limit) for share in shares(examples, ranks)]
    most = max(map(len, found))
    return [mine + [[]] * (most - len(mine)) for mine in found]
