"""How many tokens of each source a mix has.

natural: as many as there are; equal: as many of each; temperature: shares of sizes to a power (0.3 to 0.7 for
languages: Conneau et al. 2020); asked for; or as a known model was trained (`makeups`). Text that is seen up to four
times is worth nearly as much as new text, more often less and less (Muennighoff et al. 2023): `repeats` caps it, and
what a source cannot give comes from the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from luthier.core.errors import LuthierError
from luthier.corpus.mixing.makeups import PUBLISHED

Shares = Mapping[str, float]  # of tokens, by source; they add up to 1


def natural(sizes: Mapping[str, int], temperature: float = 1.0) -> Shares:
    """As sizes are, to a power: 1 as they are, 0 the same of each."""
    return _scaled({name: float(size) ** temperature if size else 0.0 for name, size in sizes.items()})


def asked(weights: Mapping[str, float], sizes: Mapping[str, int]) -> Shares:
    """As given: shares or percents that add up. Raises LuthierError where they do not, or do not fit the sources."""
    if weights.keys() != sizes.keys():
        more, less = weights.keys() - sizes.keys(), sizes.keys() - weights.keys()
        what = [f"{', '.join(sorted(more))}: no such source"] if more else []
        what += [f"{', '.join(sorted(less))}: no weight (0 leaves a source out)"] if less else []
        raise LuthierError(f"weights: {'; '.join(what)}")
    if wrong := [name for name, weight in weights.items() if not weight >= 0]:
        raise LuthierError(f"weights: {wrong[0]}: {weights[wrong[0]]:g} is no share")
    total = sum(weights.values())
    if not any(abs(total - whole) <= 1e-6 * whole for whole in (1.0, 100.0)):
        raise LuthierError(f"weights: they add up to {total:g}, not to 1 or to 100")
    return _scaled(weights)


def like(name: str, kinds: Mapping[str, str], sizes: Mapping[str, int]) -> tuple[Shares, list[str]]:
    """As a known model was trained, and what of it no source is. kinds: of each source, what a make-up calls it.

    Sources of one kind share by their sizes. Raises LuthierError for an unknown model, or where nothing fits.
    """
    found = next((one for one in PUBLISHED if one.model.lower() == name.lower()), None)
    if found is None:
        raise LuthierError(f"like: {name}: known are {', '.join(one.model for one in PUBLISHED)}")
    wanted: Counter[str] = Counter()
    for kind, share in found.shares.items():
        wanted[kind.split(" (")[0].lower()] += share  # type: ignore[assignment]
    mine: dict[str, list[str]] = {}
    for source, kind in kinds.items():
        mine.setdefault(kind.lower(), []).append(source)
    if not (both := wanted.keys() & mine.keys()):
        raise LuthierError(f"like: no source is one of {', '.join(sorted(wanted))}: name one so, or give it `kind`")
    out = dict.fromkeys(sizes, 0.0)
    for kind in both:
        own = natural({source: sizes[source] for source in mine[kind]})
        out |= {source: wanted[kind] * share for source, share in own.items()}
    return _scaled(out), sorted(wanted.keys() - both)


def _scaled(values: Mapping[str, float]) -> Shares:
    total = sum(values.values())
    if not total:
        raise LuthierError("no source has any text")
    return {name: value / total for name, value in values.items()}


@dataclass(frozen=True)
class Allotted:
    """tokens: of each source in the mix. short: sources that could not give what was asked of them."""

    tokens: dict[str, int]
    short: tuple[str, ...]


def allotted(shares: Shares, sizes: Mapping[str, int], repeats: float, total: int = 0) -> Allotted:
    """Tokens of each source. total: of all; 0 for the most that has these shares. Raises LuthierError for too few.

    A source that would be seen more than `repeats` times gives that much, and the others the rest, by their shares.
    """
    most = {name: int(sizes[name] * repeats) for name in sizes}
    short = [name for name, share in shares.items() if share and not most[name]]
    open_ = {name: share for name, share in shares.items() if share and most[name]}
    whole = sum(most[name] for name in open_)
    if not total:
        total = int(min(most[name] * sum(open_.values()) / share for name, share in open_.items())) if open_ else 0
    if total > whole:
        raise LuthierError(f"tokens: {total:,} asked, {whole:,} there (each source {repeats:g} times at most)")
    left, out = total, dict.fromkeys(sizes, 0)
    while open_:
        scale = left / sum(open_.values())
        over = [name for name, share in open_.items() if share * scale > most[name]]
        if not over:
            out |= {name: int(share * scale) for name, share in open_.items()}
            break
        for name in over:
            out[name], left = most[name], left - most[name]
            short.append(name)
            del open_[name]
    return Allotted(out, tuple(short))
