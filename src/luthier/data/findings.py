"""What an inspection found, in sentences: shared by the terminal and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from luthier.data.inspect import Inspection, Pair
from luthier.data.overlap import ALIKE

BARS = 12
LOPSIDED = 10  # a label this many times as frequent as another is worth a word


@dataclass(frozen=True)
class Finding:
    """A sentence, whether it needs a look, and the rows it is about, one text each."""

    text: str
    trouble: bool
    rows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bar:
    """One line of a histogram: what it counts, how many, and their share of the largest, 0 to 1."""

    name: str
    count: int
    height: float


def findings(found: Inspection) -> list[Finding]:
    """All that there is to say, rows first."""
    return [*_rows(found), *_tokens(found), *_repeats(found), *_overlap(found), *_labels(found)]


def _rows(found: Inspection) -> list[Finding]:
    dropped = tuple(f"{found.unit} {bad.line}: {bad.reason}" for bad in found.bad)
    text = f"{found.rows:,} rows in the file: {found.kept:,} kept, {len(found.bad):,} dropped"
    out = [Finding(text, bool(found.bad), dropped)]
    if found.unused:
        out.append(
            Finding(
                f"{_rows_are(len(found.unused))} answers that were found bad: learning by imitation leaves them out",
                False, tuple(f"{found.unit} {row.line}" for row in found.unused),
            )
        )  # fmt: skip
    return out


def _tokens(found: Inspection) -> list[Finding]:
    tokens, count = found.tokens, len(found.tokens.lengths)
    if not count:
        return []
    ordered = sorted(tokens.lengths)
    out = [
        Finding(
            f"Rows have {ordered[count // 2]:,} tokens in the median, {ordered[count * 95 // 100]:,} at the 95th "
            f"percentile, {ordered[-1]:,} at most; {sum(ordered):,} in all",
            False,
        ),
        Finding(
            f"{_rows_are(len(tokens.cut))} longer than {tokens.limit:,} tokens and cut off there "
            f"({_share(len(tokens.cut), count)})",
            bool(tokens.cut), _lines(found, tokens.cut),
        ),
        Finding(
            f"{_share(tokens.learned, tokens.total)} of tokens carry loss ({tokens.learned:,})", not tokens.learned
        ),
    ]  # fmt: skip
    if tokens.empty:
        text = f"{_rows_have(len(tokens.empty))} no token to learn from (too short, or all of it is cut off)"
        out.append(Finding(text, True, _lines(found, tokens.empty)))
    return out


def _repeats(found: Inspection) -> list[Finding]:
    return [
        Finding(f"{_rows_repeat(len(found.duplicates))} an earlier row", bool(found.duplicates),
                _pairs(found, found.duplicates)),
        Finding(f"{_rows_repeat(len(found.conflicts))} an earlier row with another answer", bool(found.conflicts),
                _pairs(found, found.conflicts)),
        Finding(f"{_rows_are(len(found.alike))} nearly an earlier row ({ALIKE:.0%} of n-grams of 8 bytes shared, or "
                "more)", bool(found.alike), _pairs(found, found.alike)),
    ]  # fmt: skip


def _overlap(found: Inspection) -> list[Finding]:
    if not found.compared:
        return []
    return [
        Finding(f"{_rows_are(len(found.seen))} in the training file too: comparing leaves them out of training",
                bool(found.seen), _pairs(found, found.seen, "training ")),
        Finding(f"{_rows_are(len(found.near))} nearly a training row ({ALIKE:.0%} of its n-grams stand in it, or "
                "more)", bool(found.near), _pairs(found, found.near, "training ")),
    ]  # fmt: skip


def _labels(found: Inspection) -> list[Finding]:
    counts = [count for _, count in found.balance]
    if len(counts) < 2 or found.task == "regression" or max(counts) < LOPSIDED * max(min(counts), 1):
        return []
    most, least = found.balance[0], found.balance[-1]
    return [Finding(f'Labels are unequal: "{most[0]}" has {most[1]:,} rows, "{least[0]}" {least[1]:,}', True)]


def histogram(lengths: Sequence[int]) -> list[Bar]:
    """Rows by length in tokens, in at most BARS ranges of equal round width."""
    if not lengths:
        return []
    width = _round_up(max(lengths) / BARS)
    counts = [0] * (max(lengths) // width + 1)
    for length in lengths:
        counts[length // width] += 1
    return [Bar(f"{i * width} to {(i + 1) * width - 1}", n, n / max(counts)) for i, n in enumerate(counts)]


def _round_up(value: float) -> int:
    """The next of 1, 2, 5, 10, 20, 50…"""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if value < step * factor:
                return step * factor
        step *= 10


def bars(balance: Sequence[tuple[str, int]], most: int = 40) -> list[Bar]:
    """Labels as bars; what is beyond `most` is one bar."""
    shown = list(islice(balance, most))
    if rest := sum(count for _, count in balance[most:]):
        shown.append((f"({len(balance) - most} more)", rest))
    top = max((count for _, count in shown), default=1) or 1
    return [Bar(name, count, count / top) for name, count in shown]


def _lines(found: Inspection, lines: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{found.unit} {line}" for line in lines)


def _pairs(found: Inspection, pairs: Sequence[Pair], of: str = "") -> tuple[str, ...]:
    unit = found.unit
    return tuple(
        f"{unit} {p.line} like {of}{unit} {p.like}" + (f", {p.share:.0%}" if p.share < 1 else "") for p in pairs
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0 %"


def _rows_are(count: int) -> str:
    return "1 row is" if count == 1 else f"{count:,} rows are"


def _rows_have(count: int) -> str:
    return "1 row has" if count == 1 else f"{count:,} rows have"


def _rows_repeat(count: int) -> str:
    return "1 row repeats" if count == 1 else f"{count:,} rows repeat"
