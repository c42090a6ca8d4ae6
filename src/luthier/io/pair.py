"""Two files of lines in a recipe: whether they go with what stands beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from luthier.core.errors import LuthierError


def check_pair(pair: Sequence[str], path: str, others: Mapping[str, object]) -> None:
    """Raise LuthierError for a `data.pair` that is none, or that stands beside what does not go with it."""
    if len(pair) != 2 or not all(pair):
        raise LuthierError(f"data.pair: two files of lines, not {len(pair)}: such as a.fr,b.en")
    if path not in ("tickets", pair[0]):
        raise LuthierError(f"data.pair and data.path {path}: give one of them")
    if wrong := next((name for name, value in others.items() if value), ""):
        raise LuthierError(f"data.pair and data.{wrong}: lines have no columns and no labels, and stand alone")
