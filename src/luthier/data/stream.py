"""A stream of tokens to train on, in place of rows: what `luthier corpus mix` wrote, in its order.

    DIR/tokens/ --Stream--> stretches of documents, none longer than a model reads --an objective--> examples

A stretch never spans two documents, so that positions and attention restart where a document begins. The stretches of a
folder are known by their ends alone (two numbers each); tokens are read when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luthier.core.errors import LuthierError
from luthier.core.example import Example
from luthier.data.token_files import ABOUT, TOKENS, Tokens

if TYPE_CHECKING:
    from luthier.core.cursor import Cursor


class Stream:
    """Tokens of documents. Raises LuthierError where a file is missing, cut short or damaged.

    folder: of a mix, or of its tokens.
    """

    def __init__(self, folder: Path) -> None:
        inner = folder / TOKENS
        self.folder = inner if (inner / ABOUT).exists() else folder
        if not (self.folder / ABOUT).exists():
            raise LuthierError(f"{folder}: no tokens: name what `luthier corpus mix` wrote")
        self.tokens = Tokens(self.folder)
        if not len(self.tokens):
            raise LuthierError(f"{folder}: its tokens are none")

    @property
    def vocabulary(self) -> int:
        """Ids are below it."""
        return int(self.tokens.about.get("vocabulary", 0))

    @property
    def key(self) -> str:
        """Of what it holds, as far as that is told without reading all of it: sizes, and the first and last tokens."""
        ends = self.tokens[:1024].tolist(), self.tokens[max(len(self.tokens) - 1024, 0) :].tolist()
        return f"{self.tokens.counts.tolist()} {self.tokens.documents.tolist()} {ends}"

    def bounds(self) -> NDArray[np.int64]:
        """Where each document begins, and the end of the last, (documents + 1)."""
        parts = [first + self.tokens.ends(at) for at, first in enumerate(self.tokens.first[:-1].tolist())]
        return np.concatenate([np.zeros(1, np.int64), *parts])


def stretches(bounds: NDArray[np.int64], room: int, shared: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Beginnings and ends of stretches of documents, (stretches) each. room: tokens of one, at most.

    shared: tokens that a stretch takes over from the one before: 1 where each token is predicted from those before it,
    so that every token but a document's first is predicted once. Documents that leave nothing to predict give none.
    """
    sizes = np.diff(bounds)
    step = max(room - shared, 1)
    counts = np.maximum(-(-(sizes - shared) // step), 0)
    owner = np.repeat(np.arange(len(sizes)), counts)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = bounds[owner] + number * step
    return starts, np.minimum(starts + room, bounds[owner + 1])


class Stretches(Sequence[Example]):
    """Examples of a stream, each made when it is asked for. make: of an id and tokens.

    The tokens of an example depend on those of its stretch alone: virtual ones, sentinels, ends come on top.
    """

    def __init__(self, stream: Stream, room: int, shared: int, make: Callable[[int, list[int]], Example]) -> None:
        self.epoch = 0  # of the step that is being made
        self.stream, self.make = stream, make
        self.starts, self.ends = stretches(stream.bounds(), room, shared)
        sizes, of = np.unique(np.append(self.ends - self.starts, room), return_inverse=True)
        tokens = np.array([make(0, [0] * size).tokens for size in sizes.tolist()], np.int64)[of]
        self.room = int(tokens[-1])
        self.sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(tokens[:-1])])

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return [self[at] for at in range(*key.indices(len(self)))]
        at = range(len(self))[key]
        start = int(self.starts[at])
        return self.make(at, self.stream.tokens.read(start, int(self.ends[at]) - start).tolist())

    def step(self, cursor: Cursor, rows: int) -> list[Example]:
        """The next stretches, together at most as long as so many rows of full length; the cursor goes behind them."""
        if cursor.at >= len(self):
            cursor.next_epoch()
        self.epoch = cursor.epoch
        most = self.sums[cursor.at] + rows * self.room
        behind = max(int(np.searchsorted(self.sums, most, "right")) - 1, cursor.at + 1)
        chosen: list[Example] = self[cursor.at : behind]
        cursor.at += len(chosen)
        return chosen
