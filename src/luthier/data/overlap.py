"""How alike texts are: the share of their n-grams of 8 bytes (of UTF-8: one English word and a half, or the better part
of three Chinese characters) that they have in common.

An n-gram that more than a tenth of the rows hold (at least 6 rows, 1,001 at most) is wording, such as an instruction
that stands in every row, and does not count. Texts are compared as `split.same` writes them. Of more than 20 million
n-grams a fixed random share is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Say = Callable[[int, int], None]
N = 8
ALIKE = 0.7
MOST = 20_000_000


class Index:
    """The n-grams of some texts; `nearest` finds the text that holds most of another's."""

    def __init__(self, texts: Sequence[str]) -> None:
        import numpy as np

        total = sum(len(text.encode()) for text in texts)
        self.every = total // MOST + 1
        grams = [_grams(text, self.every) for text in texts]
        rows = np.repeat(np.arange(len(texts), dtype=np.int32), [len(g) for g in grams])
        flat = np.concatenate([*grams, np.empty(0, np.uint64)])
        order = np.argsort(flat, kind="stable")
        flat, rows = flat[order], rows[order]
        _, starts, counts = np.unique(flat, return_index=True, return_counts=True)
        self.limit = min(max(5, len(texts) // 10), 1000)
        common = counts > self.limit
        self.wording = flat[starts[common]]
        keep = np.repeat(~common, counts)
        self.flat, self.rows = flat[keep], rows[keep]
        self.count = len(texts)
        self.sizes = np.bincount(self.rows, minlength=self.count)

    def shared(self, text: str) -> tuple[Array, int]:
        """Of each indexed text, how many of this text's n-grams it holds, (rows,); and how many there are."""
        import numpy as np

        grams = _grams(text, self.every)
        if len(self.wording):
            places = np.searchsorted(self.wording, grams).clip(max=len(self.wording) - 1)
            grams = grams[self.wording[places] != grams]
        low, high = np.searchsorted(self.flat, grams, "left"), np.searchsorted(self.flat, grams, "right")
        lengths = high - low  # of the stretch of rows that each n-gram has; all stretches are taken at once
        ends = lengths.cumsum()
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(low - ends + lengths, lengths)
        return np.bincount(self.rows[places], minlength=self.count), len(grams)

    def held(self, text: str) -> tuple[int, float]:
        """The indexed text that holds most of this one, and the share it holds of it; (-1, 0.0) for none."""
        counts, total = self.shared(text)
        if not total or not len(counts) or not counts.max():
            return -1, 0.0
        best = int(counts.argmax())
        return best, float(counts[best] / total)


def twins(texts: Sequence[str], say: Say | None = None) -> list[tuple[int, int, float]]:
    """Pairs (later, earlier, share) of texts alike: shared n-grams over those of the richer of both, at least ALIKE."""
    import numpy as np

    index = Index(texts)
    out = []
    for i, text in enumerate(texts):
        if say and i % 256 == 0:
            say(i, len(texts))
        counts, total = index.shared(text)
        if not i or not total:
            continue
        shares = counts[:i] / np.maximum(index.sizes[:i], total)
        best = int(shares.argmax())
        if shares[best] >= ALIKE:
            out.append((i, best, float(shares[best])))
    return out


def _grams(text: str, every: int) -> Array:
    """The distinct n-grams of a text as numbers, sorted, (n,) uint64; of `every` a fixed one."""
    import numpy as np

    data = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    if len(data) < N:
        return np.empty(0, np.uint64)
    grams = np.unique(np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(data, N)).view(np.uint64).ravel())
    if every == 1:
        return grams
    mixed = (grams * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
    kept: Array = grams[mixed % np.uint64(every) == 0]
    return kept
