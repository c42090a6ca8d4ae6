"""How a step's examples are dealt out to ranks: none lost, none twice, groups whole, equally many passes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from luthier.core.example import Example, units_of
from luthier.training.ranks.shares import passes, shares

SIZES = st.lists(st.tuples(st.integers(1, 40), st.none() | st.integers(0, 3)), min_size=1, max_size=30)


def made(sizes: list[tuple[int, int | None]]) -> list[Example]:
    return [Example(i, tuple(range(n)), (0,), (0,), group=group) for i, (n, group) in enumerate(sizes)]


@given(SIZES, st.integers(1, 9))
def test_every_example_is_one_rank_s_and_groups_stay_whole(sizes: list[tuple[int, int | None]], ranks: int) -> None:
    """Seen failing with examples dealt out one by one."""
    examples = made(sizes)
    found = shares(examples, ranks)
    assert len(found) == ranks and Counter(e.row for share in found for e in share) == Counter(range(len(examples)))
    for unit in units_of(examples):
        rows = {examples[at].row for at in unit}
        assert sum(bool(rows & {e.row for e in share}) for share in found) == 1
    for share in found:
        firsts = [share[unit[0]].row for unit in units_of(share)]
        assert firsts == sorted(firsts)


@given(SIZES, st.integers(1, 9), st.integers(1, 60))
def test_all_ranks_make_equally_many_passes(sizes: list[tuple[int, int | None]], ranks: int, limit: int) -> None:
    found = passes(made(sizes), ranks, limit)
    assert len({len(mine) for mine in found}) == 1 and any(all(share) for share in found), "one needs them all"
    assert Counter(e.row for mine in found for part in mine for e in part) == Counter(range(len(sizes)))


def test_shares_are_about_equal() -> None:
    """By hand, the longest first: 9 | 7, 9 | 7+6, 9+5 | 13, 14 | 13+5, 14+2 | 18."""
    found = shares(made([(5, None), (9, None), (2, None), (6, None), (5, None), (7, None)]), 2)
    assert [[e.tokens for e in share] for share in found] == [[5, 9, 2], [6, 5, 7]]
    assert [sum(e.tokens for e in share) for share in found] == [16, 18]
